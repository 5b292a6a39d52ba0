/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The eBPF programs and maps that scripts use. They are found by the path that they
 * are pinned at, as by BPF_OBJ_GET, and held until the script drops them or the
 * state is closed.
 */
#ifndef LUNATIK_OBJECT_H
#define LUNATIK_OBJECT_H

#include <linux/list.h>

#include "lua/lunatik_lua.h"

struct bpf_map;
struct bpf_prog;
struct lunatik_replica;
struct lunatik_state;

struct lunatik_object {
	struct list_head list;		/* replica->objects */
	struct bpf_prog *prog;		/* one of them, or none */
	struct bpf_map *map;
	size_t stack;			/* what the program needs */
	bool writable;			/* the map, for who opened it */
};

/*
 * Before code that the current task brought is run in a state: if the task may not
 * use eBPF, the state may not from now on, whoever calls that code later.
 */
void lunatik_objects_note(struct lunatik_state *state);

/*
 * A new object without anything, charged to the script. By whoever runs the
 * replica, as all below. Raises memory errors.
 */
struct lunatik_object *lunatik_object_new(lua_State *L);

/*
 * Gets the program for XDP or TC, or the map, that is pinned at `path`. For a library
 * function whose run may sleep, which it does. Raises errors.
 */
void lunatik_object_open_prog(lua_State *L, struct lunatik_object *object, const char *path);
void lunatik_object_open_map(lua_State *L, struct lunatik_object *object, const char *path);

/* Lets go of what it holds. Any context but hard interrupts. */
void lunatik_object_free(struct lunatik_replica *replica, struct lunatik_object *object);

/* All that are left, when the replica's Lua is gone. */
void lunatik_objects_free(struct lunatik_replica *replica);

#endif
