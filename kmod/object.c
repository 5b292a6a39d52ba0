// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kallsyms.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/user_namespace.h>

#include "lib/lib.h"
#include "object.h"
#include "replica.h"
#include "run.h"
#include "state.h"

static bool may_use_bpf(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_BPF) ||
	       ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

void lunatik_objects_note(struct lunatik_state *state)
{
	if (!READ_ONCE(state->no_bpf) && !may_use_bpf())
		WRITE_ONCE(state->no_bpf, true);
}

struct lunatik_object *lunatik_object_new(lua_State *L)
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	struct lunatik_object *object = lunatik_lib_alloc(&replica->heap, NULL, 0, sizeof(*object));

	if (!object)
		lunatik_lib_nomem(L);
	memset(object, 0, sizeof(*object));
	list_add(&object->list, &replica->objects);
	return object;
}

static void put(struct lunatik_object *object)
{
	if (object->prog)
		bpf_prog_put(object->prog);
	if (object->map)
		bpf_map_put(object->map);
}

void lunatik_object_free(struct lunatik_replica *replica, struct lunatik_object *object)
{
	put(object);
	list_del(&object->list);
	lunatik_heap_free(&replica->heap, object, sizeof(*object));
}

void lunatik_objects_free(struct lunatik_replica *replica)
{
	struct lunatik_object *object, *next;

	list_for_each_entry_safe(object, next, &replica->objects, list)
		lunatik_object_free(replica, object);
}

/*
 * Programs that are more than functions of a packet: those for one device, whose
 * driver's functions they may call, and those that expect a second device.
 */
static bool is_plain(const struct bpf_prog *prog)
{
	if (bpf_prog_is_dev_bound(prog->aux))
		return false;
	return prog->type != BPF_PROG_TYPE_XDP ||
	       (prog->expected_attach_type != BPF_XDP_DEVMAP &&
		prog->expected_attach_type != BPF_XDP_CPUMAP);
}

static int get_prog(const char *path, struct lunatik_object *object)
{
	struct bpf_prog *prog = bpf_prog_get_type_path(path, BPF_PROG_TYPE_XDP);

	if (prog == ERR_PTR(-EINVAL))
		prog = bpf_prog_get_type_path(path, BPF_PROG_TYPE_SCHED_CLS);
	if (IS_ERR(prog))
		return PTR_ERR(prog);
	if (!is_plain(prog)) {
		bpf_prog_put(prog);
		return -EINVAL;
	}
	object->prog = prog;
	return 0;
}

/*
 * Whether an inode of bpffs is a map's. The kernel tells them by their operations,
 * which it exports by name only.
 */
static bool is_map(const struct inode *inode)
{
	static const char name[] = "bpf_map_iops+0x0/";
	static const void *known;
	const void *operations = inode->i_op;
	char *symbol;
	bool is;

	if (operations == READ_ONCE(known))
		return true;
	symbol = kmalloc(KSYM_SYMBOL_LEN, GFP_KERNEL);
	if (!symbol)
		return false;
	sprint_symbol(symbol, (unsigned long)operations);
	/* A module's symbol has the module's name behind it. */
	is = !strncmp(symbol, name, sizeof(name) - 1) && !strchr(symbol, '[');
	kfree(symbol);
	if (is)
		WRITE_ONCE(known, operations);
	return is;
}

static bool is_supported(const struct bpf_map *map)
{
	switch (map->map_type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		break;
	default:
		return false;
	}
	/* One that is on a device lacks these. */
	return map->ops->map_lookup_elem && map->ops->map_update_elem &&
	       map->ops->map_delete_elem && map->ops->map_get_next_key &&
	       !lunatik_bpf_map_is_special(map);
}

/* With what BPF_OBJ_GET asks for: to read and write, or else to read. */
static int get_map_at(const struct path *path, struct lunatik_object *object)
{
	struct inode *inode = d_inode(path->dentry);
	bool writable = true;
	struct bpf_map *map;
	int err;

	if (inode->i_sb->s_magic != BPF_FS_MAGIC || !S_ISREG(inode->i_mode) || !is_map(inode))
		return -EINVAL;
	err = path_permission(path, MAY_READ | MAY_WRITE);
	if (err == -EACCES || err == -EROFS) {
		writable = false;
		err = path_permission(path, MAY_READ);
	}
	if (err)
		return err;
	map = inode->i_private;
	if (!is_supported(map))
		return -EINVAL;
	/* The inode has a reference, and the path has the inode. */
	bpf_map_inc(map);
	object->map = map;
	object->writable = writable;
	return 0;
}

static int get_map(const char *name, struct lunatik_object *object)
{
	struct path path;
	int err;

	err = kern_path(name, LOOKUP_FOLLOW, &path);
	if (err)
		return err;
	err = get_map_at(&path, object);
	path_put(&path);
	return err;
}

static void refuse(lua_State *L, const char *path, const char *what, int err)
{
	switch (err) {
	case 0:
		return;
	case -ENOMEM:
		lunatik_lib_nomem(L);
		return;
	case -ENOENT:
	case -ENOTDIR:
		luaL_error(L, "%s: no such file", path);
		return;
	case -EACCES:
	case -EPERM:
		luaL_error(L, "%s: permission denied, or not a pinned %s", path, what);
		return;
	case -EINVAL:
		luaL_error(L, "%s: not a %s that scripts can use", path, what);
		return;
	default:
		luaL_error(L, "%s: cannot be opened (error %d)", path, -err);
	}
}

static void open(lua_State *L, struct lunatik_object *object, const char *path, const char *what,
		 int (*get)(const char *path, struct lunatik_object *object))
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	struct lunatik_pause pause;
	char *copy;
	int err;

	if (READ_ONCE(replica->state->no_bpf))
		luaL_error(L, "eBPF is not for this state, in which code of a user without CAP_BPF was run");
	if (lunatik_stack_left(lunatik_guard(L)) < LUNATIK_STACK_RECLAIM)
		luaL_error(L, "C stack overflow");
	copy = kstrdup(path, lunatik_gfp(lunatik_guard(L)));
	if (!copy)
		lunatik_lib_nomem(L);
	/* The path is the caller's, and so are the rights; a kernel thread calls for nobody. */
	if ((current->flags & PF_KTHREAD) || !lunatik_run_pause(L, &pause)) {
		kfree(copy);
		luaL_error(L, "a %s can be opened in requests only", what);
	}
	err = may_use_bpf() ? get(copy, object) : -EPERM;
	lunatik_run_resume(replica, &pause);
	kfree(copy);
	refuse(L, path, what, err);
}

void lunatik_object_open_prog(lua_State *L, struct lunatik_object *object, const char *path)
{
	open(L, object, path, "program for XDP or TC", get_prog);
}

void lunatik_object_open_map(lua_State *L, struct lunatik_object *object, const char *path)
{
	open(L, object, path, "map", get_map);
}
