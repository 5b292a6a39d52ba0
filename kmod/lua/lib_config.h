/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before each of Lua's library sources: bends the few calls that would
 * loop out of the deadline's sight, run a coroutine that it does not know of or
 * use more stack than there is.
 */
#ifndef LUNATIK_LIB_CONFIG_H
#define LUNATIK_LIB_CONFIG_H

#include "aux_config.h"

/* Functions with large frames begin with one of these. */
#define luaL_checklstring(L, arg, len)	(lunatik_need_cstack(L), luaL_checklstring(L, arg, len))
#define luaL_optlstring(L, arg, def, len) \
	(lunatik_need_cstack(L), luaL_optlstring(L, arg, def, len))
#define luaL_buffinit(L, B)		(lunatik_need_cstack(L), luaL_buffinit(L, B))
#define luaL_buffinitsize(L, B, size)	(lunatik_need_cstack(L), luaL_buffinitsize(L, B, size))

/* The guard follows the coroutine that runs. */
#if LUNATIK_TIMED
#define lua_resume		lunatik_resume
#define lua_closethread		lunatik_closethread
#endif

#endif
