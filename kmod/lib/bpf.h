/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the library `bpf` have of each other. */
#ifndef LUNATIK_LIB_BPF_H
#define LUNATIK_LIB_BPF_H

#include "../object.h"
#include "lib.h"

/*
 * The finalizer of userdata that begin with a pointer to their object: drops it. Short,
 * and raises nothing.
 */
int lunatik_lib_bpf_gc(lua_State *L);

/* The path at 1. Raises an error if it is none. */
const char *lunatik_lib_bpf_path(lua_State *L);

/* Each pushes the function that opens such an object. */
void lunatik_lib_bpf_push_prog(lua_State *L);
void lunatik_lib_bpf_push_map(lua_State *L);

#endif
