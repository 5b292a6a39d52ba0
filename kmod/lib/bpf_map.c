// SPDX-License-Identifier: GPL-2.0-only
/* The part of the library `bpf` for maps. Each operation is what a program's would be. */
#include <linux/align.h>
#include <linux/bpf.h>
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "bpf.h"

/* Upvalues of all methods but finalizers */
#define PACK	lua_upvalueindex(2)
#define UNPACK	lua_upvalueindex(3)

/* The user values of a map: formats, or nil */
enum {
	KEY_FORMAT = 1,
	VALUE_FORMAT,
};

#define VALUE_MAX	SZ_64K

struct map {
	struct lunatik_object *object;
	u32 key_size;
	u32 value_size;
	u8 *key, *next, *value;		/* in bytes[], as large as the map's */
	u64 bytes[];
};

/* The map at 1. The metatable of maps is the first upvalue of all methods but finalizers. */
static struct map *check(lua_State *L)
{
	void *userdata = lua_touserdata(L, 1);
	const void *metatable = lua_topointer(L, lua_upvalueindex(1));

	if (!userdata || !lua_getmetatable(L, 1) || lua_topointer(L, -1) != metatable)
		luaL_typeerror(L, 1, "bpf.map");
	lua_pop(L, 1);
	return userdata;
}

static struct bpf_map *map_of(const struct map *map)
{
	return map->object->map;
}

/* Pushes what string.pack() makes of the Lua value at `at`, or of the values of a table. */
static void push_packed(lua_State *L, int at)
{
	lua_Integer i, n;

	lua_pushvalue(L, PACK);
	lua_insert(L, -2);
	if (lua_type(L, at) != LUA_TTABLE) {
		lua_pushvalue(L, at);
		lua_call(L, 2, 1);
		return;
	}
	n = luaL_len(L, at);
	luaL_argcheck(L, n >= 0 && n <= U8_MAX, at, "too many fields");
	luaL_checkstack(L, n, "too many fields");
	for (i = 1; i <= n; i++)
		lua_geti(L, at, i);
	lua_call(L, 1 + n, 1);
}

/* Puts the Lua value at `at` into `to`, as the format says, or the string's bytes. */
static void encode(lua_State *L, int at, int format, u8 *to, u32 size)
{
	const char *bytes;
	size_t len;

	if (lua_getiuservalue(L, 1, format) == LUA_TNIL) {
		luaL_checktype(L, at, LUA_TSTRING);
		lua_pushvalue(L, at);
		lua_replace(L, -2);
	} else {
		push_packed(L, at);
	}
	bytes = lua_tolstring(L, -1, &len);
	if (!bytes || len != size)
		luaL_error(L, "a %s of %I bytes, but the map's have %d",
			   format == KEY_FORMAT ? "key" : "value", (lua_Integer)len, size);
	memcpy(to, bytes, size);
	lua_pop(L, 1);
}

/* Pushes the Lua value that the bytes are; a table if the format has several. The map is at `at`. */
static void decode(lua_State *L, int at, int format, const u8 *bytes, u32 size)
{
	int i, n, top = lua_gettop(L);

	if (lua_getiuservalue(L, at, format) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_pushlstring(L, (const char *)bytes, size);
		return;
	}
	lua_pushvalue(L, UNPACK);
	lua_insert(L, -2);
	lua_pushlstring(L, (const char *)bytes, size);
	lua_call(L, 2, LUA_MULTRET);
	/* Behind the values is the position of what follows. */
	n = lua_gettop(L) - top - 1;
	if (n == 1) {
		lua_pop(L, 1);
		return;
	}
	lua_pop(L, 1);
	lua_createtable(L, n, 0);
	lua_insert(L, top + 1);
	for (i = n; i >= 1; i--)
		lua_rawseti(L, top + 1, i);
}

/* Copies the value of the key in map->key, if there is one. */
static bool read_value(struct map *map)
{
	struct bpf_map *bpf = map_of(map);
	const void *value;

	rcu_read_lock();
	value = bpf->ops->map_lookup_elem(bpf, map->key);
	if (value)
		memcpy(map->value, value, map->value_size);
	rcu_read_unlock();
	return value;
}

static bool read_value_of(struct map *map, u32 cpu)
{
	struct bpf_map *bpf = map_of(map);
	const void *value;

	rcu_read_lock();
	value = bpf->ops->map_lookup_percpu_elem(bpf, map->key, cpu);
	if (value)
		memcpy(map->value, value, map->value_size);
	rcu_read_unlock();
	return value;
}

static void check_readable(lua_State *L, const struct map *map)
{
	if (map_of(map)->map_flags & (BPF_F_WRONLY | BPF_F_WRONLY_PROG))
		luaL_error(L, "the map cannot be read");
}

/* map:lookup(key [, cpu]): of a per-CPU map this CPU's value, or that of `cpu`. */
static int map_lookup(lua_State *L)
{
	struct map *map = check(L);
	bool found;

	check_readable(L, map);
	encode(L, 2, KEY_FORMAT, map->key, map->key_size);
	if (lua_isnoneornil(L, 3)) {
		found = read_value(map);
	} else {
		lua_Integer cpu = luaL_checkinteger(L, 3);

		luaL_argcheck(L, map_of(map)->ops->map_lookup_percpu_elem, 3,
			      "the map is not per CPU");
		luaL_argcheck(L, cpu >= 0 && cpu < nr_cpu_ids && cpu_possible(cpu), 3,
			      "no such CPU");
		found = read_value_of(map, cpu);
	}
	if (!found)
		return 0;
	decode(L, 1, VALUE_FORMAT, map->value, map->value_size);
	return 1;
}

/* What the map says to a change, as results. */
static int push_refusal(lua_State *L, long err)
{
	static const struct {
		int err;
		const char *name, *text;
	} known[] = {
		{ -EEXIST,	"EEXIST",	"the key is there" },
		{ -ENOENT,	"ENOENT",	"the key is not there" },
		{ -E2BIG,	"E2BIG",	"the map is full" },
		{ -ENOMEM,	"ENOMEM",	"not enough memory" },
		{ -EBUSY,	"EBUSY",	"the map is in use" },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		if (err == known[i].err) {
			lua_pushnil(L);
			lua_pushstring(L, known[i].text);
			lua_pushstring(L, known[i].name);
			return 3;
		}
	}
	return luaL_error(L, "the map refuses it (error %d)", (int)-err);
}

/*
 * Calls for a change that whoever freezes the map waits for, as for one by a system
 * call.
 */
static long change(struct map *map, long (*do_it)(struct map *map, u64 flags), u64 flags)
{
	struct bpf_map *bpf = map_of(map);
	long err = -EPERM;

	atomic64_inc(&bpf->writecnt);
	if (map->object->writable && !READ_ONCE(bpf->frozen) &&
	    !(bpf->map_flags & (BPF_F_RDONLY | BPF_F_RDONLY_PROG))) {
		rcu_read_lock();
		err = do_it(map, flags);
		rcu_read_unlock();
	}
	atomic64_dec(&bpf->writecnt);
	return err;
}

static long do_update(struct map *map, u64 flags)
{
	struct bpf_map *bpf = map_of(map);

	return bpf->ops->map_update_elem(bpf, map->key, map->value, flags);
}

static long do_delete(struct map *map, u64 flags)
{
	struct bpf_map *bpf = map_of(map);

	return bpf->ops->map_delete_elem(bpf, map->key);
}

static int read_only(lua_State *L)
{
	return luaL_error(L, "the map cannot be changed");
}

/* map:update(key, value [, "any"|"noexist"|"exist"]): true, or nil and why not. */
static int map_update(lua_State *L)
{
	static const char *const names[] = { "any", "noexist", "exist", NULL };
	static const u64 flags[] = { BPF_ANY, BPF_NOEXIST, BPF_EXIST };
	struct map *map = check(L);
	int how = luaL_checkoption(L, 4, "any", names);
	long err;

	luaL_checkany(L, 3);
	encode(L, 2, KEY_FORMAT, map->key, map->key_size);
	encode(L, 3, VALUE_FORMAT, map->value, map->value_size);
	err = change(map, do_update, flags[how]);
	if (err == -EPERM)
		return read_only(L);
	if (err)
		return push_refusal(L, err);
	lua_pushboolean(L, true);
	return 1;
}

/* map:delete(key): whether it was there. */
static int map_delete(lua_State *L)
{
	struct map *map = check(L);
	long err;

	encode(L, 2, KEY_FORMAT, map->key, map->key_size);
	err = change(map, do_delete, 0);
	if (err == -EPERM)
		return read_only(L);
	if (err == -EINVAL)
		return luaL_error(L, "elements of an array cannot be deleted");
	if (err && err != -ENOENT)
		return push_refusal(L, err);
	lua_pushboolean(L, !err);
	return 1;
}

/* Puts the key after `key`, or the first if that is NULL or gone, into map->next. */
static bool next_key(struct map *map, u8 *key)
{
	struct bpf_map *bpf = map_of(map);
	int err;

	rcu_read_lock();
	err = bpf->ops->map_get_next_key(bpf, key, map->next);
	rcu_read_unlock();
	return !err;
}

/*
 * The iterator. Its further upvalues are the map, the next key, if any, and how many
 * more there may be. The key after the one that it gives is found first, so that the
 * loop may delete that one.
 */
#define ITERATED	lua_upvalueindex(4)
#define NEXT		lua_upvalueindex(5)
#define LEFT		lua_upvalueindex(6)

static void set_next(lua_State *L, const struct map *map, bool found)
{
	if (found)
		lua_pushlstring(L, (const char *)map->next, map->key_size);
	else
		lua_pushnil(L);
	lua_replace(L, NEXT);
}

static int next_pair(lua_State *L)
{
	struct map *map = lua_touserdata(L, ITERATED);
	lua_Integer left = lua_tointeger(L, LEFT);

	lua_settop(L, 0);
	lua_pushvalue(L, ITERATED);
	while (left-- > 0 && lua_type(L, NEXT) == LUA_TSTRING) {
		memcpy(map->key, lua_tostring(L, NEXT), map->key_size);
		set_next(L, map, next_key(map, map->key));
		/* It may be gone by now. */
		if (read_value(map)) {
			lua_pushinteger(L, left);
			lua_replace(L, LEFT);
			decode(L, 1, KEY_FORMAT, map->key, map->key_size);
			decode(L, 1, VALUE_FORMAT, map->value, map->value_size);
			return 2;
		}
		lunatik_poll(L);
	}
	lua_pushnil(L);
	return 1;
}

/* for key, value in map:pairs(): at most as many as the map may have. */
static int map_pairs(lua_State *L)
{
	struct map *map = check(L);

	check_readable(L, map);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushvalue(L, PACK);
	lua_pushvalue(L, UNPACK);
	lua_pushvalue(L, 1);
	lua_pushnil(L);
	lua_pushinteger(L, map_of(map)->max_entries);
	if (next_key(map, NULL))
		lua_pushlstring(L, (const char *)map->next, map->key_size);
	else
		lua_pushnil(L);
	lua_replace(L, -3);
	lua_pushcclosure(L, next_pair, 6);
	return 1;
}

static int map_tostring(lua_State *L)
{
	lua_pushfstring(L, "bpf.map (%s)", map_of(check(L))->name);
	return 1;
}

/* Refuses a format that does not make what the map has. */
static void check_format(lua_State *L, int at, u32 size)
{
	if (lua_isnil(L, at))
		return;
	luaL_checktype(L, at, LUA_TSTRING);
	lua_pushvalue(L, lua_upvalueindex(4));
	lua_pushvalue(L, at);
	lua_call(L, 1, 1);
	if (lua_tointeger(L, -1) != size)
		luaL_error(L, "the format '%s' has %I bytes, but the map's %s have %d",
			   lua_tostring(L, at), lua_tointeger(L, -1),
			   at == 2 ? "keys" : "values", size);
	lua_pop(L, 1);
}

static bool is_array(const struct bpf_map *map)
{
	return map->map_type == BPF_MAP_TYPE_ARRAY || map->map_type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

/* Pushes a userdata for the object, which it gets from the one on top of the stack. */
static void push_map(lua_State *L, struct lunatik_object **holder)
{
	const struct bpf_map *bpf = (*holder)->map;
	u32 key_words = DIV_ROUND_UP(bpf->key_size, sizeof(u64));
	u32 value_words = DIV_ROUND_UP(bpf->value_size, sizeof(u64));
	struct map *map;

	map = lua_newuserdatauv(L, struct_size(map, bytes, 2 * key_words + value_words), 2);
	map->object = NULL;
	map->key_size = bpf->key_size;
	map->value_size = bpf->value_size;
	map->key = (u8 *)map->bytes;
	map->next = (u8 *)(map->bytes + key_words);
	map->value = (u8 *)(map->bytes + 2 * key_words);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_setmetatable(L, -2);
	map->object = *holder;
	*holder = NULL;
}

/*
 * bpf.map(path [, key format [, value format]]): formats of string.pack(); without one
 * keys and values are strings, and keys of arrays integers.
 */
static int map_open(lua_State *L)
{
	const char *path = lunatik_lib_bpf_path(L);
	struct lunatik_object **holder;
	const struct bpf_map *bpf;

	lua_settop(L, 3);
	/* How large the map's are is not known yet, so another one holds the object meanwhile. */
	holder = lua_newuserdatauv(L, sizeof(*holder), 0);
	*holder = NULL;
	lua_pushvalue(L, lua_upvalueindex(5));
	lua_setmetatable(L, -2);
	*holder = lunatik_object_new(L);
	lunatik_object_open_map(L, *holder, path);
	bpf = (*holder)->map;
	if (bpf->value_size > VALUE_MAX)
		return luaL_error(L, "%s: values of %d bytes are too long", path, bpf->value_size);
	if (lua_isnil(L, 2) && is_array(bpf)) {
		lua_pushliteral(L, "=I4");
		lua_replace(L, 2);
	}
	check_format(L, 2, bpf->key_size);
	check_format(L, 3, bpf->value_size);
	push_map(L, holder);
	lua_pushvalue(L, 2);
	lua_setiuservalue(L, -2, KEY_FORMAT);
	lua_pushvalue(L, 3);
	lua_setiuservalue(L, -2, VALUE_FORMAT);
	return 1;
}

static const luaL_Reg methods[] = {
	{ "lookup",	map_lookup },
	{ "update",	map_update },
	{ "delete",	map_delete },
	{ "pairs",	map_pairs },
	{ NULL,		NULL },
};

static const luaL_Reg metamethods[] = {
	{ "__tostring",	map_tostring },
	{ NULL,		NULL },
};

static void push_string_function(lua_State *L, const char *name)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_getfield(L, -1, LUA_STRLIBNAME);
	lua_getfield(L, -1, name);
	lua_replace(L, -3);
	lua_pop(L, 1);
}

/* Pushes a metatable of which scripts see nothing, and whose objects end with the finalizer. */
static void push_metatable(lua_State *L)
{
	lua_newtable(L);
	lua_pushcfunction(L, lunatik_lib_bpf_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushliteral(L, "bpf.map");
	lua_setfield(L, -2, "__metatable");
	lua_pushliteral(L, "bpf.map");
	lua_setfield(L, -2, "__name");
}

void lunatik_lib_bpf_push_map(lua_State *L)
{
	int metatable = lua_gettop(L) + 1;

	luaL_checkstack(L, LUA_MINSTACK, NULL);
	push_metatable(L);
	push_string_function(L, "pack");
	push_string_function(L, "unpack");

	luaL_newlibtable(L, methods);
	lua_pushvalue(L, metatable);
	lua_pushvalue(L, metatable + 1);
	lua_pushvalue(L, metatable + 2);
	luaL_setfuncs(L, methods, 3);
	lua_setfield(L, metatable, "__index");

	lua_pushvalue(L, metatable);
	lua_pushvalue(L, metatable);
	luaL_setfuncs(L, metamethods, 1);
	lua_pop(L, 1);

	push_string_function(L, "packsize");
	push_metatable(L);
	lua_pushcclosure(L, map_open, 5);
}
