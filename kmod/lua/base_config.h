/* SPDX-License-Identifier: GPL-2.0-only */
/* Included before lbaselib.c, in addition to lib_config.h. */
#ifndef LUNATIK_BASE_CONFIG_H
#define LUNATIK_BASE_CONFIG_H

#include "lib_config.h"
#include "load.h"

/* collectgarbage("count") */
#define lua_pushnumber(L, n)	lua_pushinteger(L, (lua_Integer)(n))

/* load() */
#define lua_load		lunatik_load
#define luaL_loadbufferx	lunatik_load_string

#endif
