/* SPDX-License-Identifier: GPL-2.0-only */
/* Included before lauxlib.c and, by lib_config.h, before the libraries. */
#ifndef LUNATIK_AUX_CONFIG_H
#define LUNATIK_AUX_CONFIG_H

#define LUA_LIB
#include "lprefix.h"
#include "lua.h"
#include "lauxlib.h"

/* table.move, concat, unpack, sort, insert, remove */
#define lua_geti(L, idx, n)	(lunatik_poll(L), lua_geti(L, idx, n))

/* next(), and the search for a function's name in package.loaded */
#define lua_next(L, idx)	(lunatik_poll(L), lua_next(L, idx))

/* Buffers take their memory by themselves, without a collection when there is none. */
void *lunatik_lib_alloc(void *heap, void *ptr, size_t osize, size_t nsize);
#define lua_getallocf(L, ud)	(lua_getallocf(L, ud), lunatik_lib_alloc)

#endif
