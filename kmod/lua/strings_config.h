/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before lstring.c: image.c resizes the table of strings, whose chains
 * end in strings that states share.
 */
#ifndef LUNATIK_STRINGS_CONFIG_H
#define LUNATIK_STRINGS_CONFIG_H

#define LUA_CORE
#include "lprefix.h"
#include "lstring.h"

/* It calls its own, too, which a macro would rename. */
__attribute__((weak)) void luaS_resize(lua_State *L, int size);

#endif
