/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before lmem.c: where the stack is low, memory may be refused for that,
 * which no collection helps, and its frames would be the deepest of all.
 */
#ifndef LUNATIK_MEM_CONFIG_H
#define LUNATIK_MEM_CONFIG_H

#define LUA_CORE
#include "lprefix.h"
#include "lgc.h"

static inline int lunatik_can_collect(const struct lua_State *L)
{
	return (unsigned long)__builtin_frame_address(0) >= lunatik_guard(L)->stack_hard;
}

#define luaC_fullgc(L, emergency) \
	(lunatik_can_collect(L) ? luaC_fullgc(L, emergency) : (void)0)

#endif
