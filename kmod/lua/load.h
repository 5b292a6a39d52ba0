/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_LOAD_H
#define LUNATIK_LOAD_H

#include "lua.h"

/* lua_load() and luaL_loadbufferx() for text of any length; load.c tells how. */
int lunatik_load(lua_State *L, lua_Reader reader, void *data, const char *name, const char *mode);
int lunatik_load_string(lua_State *L, const char *s, size_t len, const char *name,
			const char *mode);

#endif
