/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before each of Lua's library sources: bends the few calls that would
 * loop out of the deadline's sight or run a coroutine that it does not know of.
 */
#ifndef LUNATIK_LIB_CONFIG_H
#define LUNATIK_LIB_CONFIG_H

#define LUA_LIB
#include "lprefix.h"
#include "lua.h"
#include "lauxlib.h"

/* table.move, concat, unpack, sort, insert, remove */
#define lua_geti(L, idx, n)	(lunatik_poll(L), lua_geti(L, idx, n))

/* next(), and the search for a function's name in package.loaded */
#define lua_next(L, idx)	(lunatik_poll(L), lua_next(L, idx))

/* The guard follows the coroutine that runs. */
#define lua_resume		lunatik_resume
#define lua_closethread		lunatik_closethread

#endif
