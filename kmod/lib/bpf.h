/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the library `bpf` have of each other. */
#ifndef LUNATIK_LIB_BPF_H
#define LUNATIK_LIB_BPF_H

#include "../object.h"
#include "lib.h"

/*
 * Methods have the metatable of their object as the first upvalue. The userdata at 1,
 * which begins with a pointer to its object; raises an error if it is none of those.
 */
void *lunatik_lib_bpf_check(lua_State *L, const char *name);

/* The finalizer of both: drops the object. Short, and raises nothing. */
int lunatik_lib_bpf_gc(lua_State *L);

/* The path at 1. Raises an error if it is none. */
const char *lunatik_lib_bpf_path(lua_State *L);

/* Each pushes the function that opens such an object. */
void lunatik_lib_bpf_push_prog(lua_State *L);
void lunatik_lib_bpf_push_map(lua_State *L);

#endif
