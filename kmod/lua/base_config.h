/* SPDX-License-Identifier: GPL-2.0-only */
/* Included before lbaselib.c, in addition to lib_config.h. */
#ifndef LUNATIK_BASE_CONFIG_H
#define LUNATIK_BASE_CONFIG_H

#include <string.h>
#include "lib_config.h"

/* collectgarbage("count") */
#define lua_pushnumber(L, n)	lua_pushinteger(L, (lua_Integer)(n))

/* load(): without a mode, or with one that has it, text */
static inline const char *lunatik_textmode(const char *mode)
{
	return !mode || strchr(mode, 't') ? "t" : "";
}
#define lua_load(L, reader, data, name, mode) \
	lua_load(L, reader, data, name, lunatik_textmode(mode))
#define luaL_loadbufferx(L, buff, size, name, mode) \
	luaL_loadbufferx(L, buff, size, name, lunatik_textmode(mode))

#endif
