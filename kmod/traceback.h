/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_TRACEBACK_H
#define LUNATIK_TRACEBACK_H

#include "lua/lunatik_lua.h"

/*
 * A traceback from `level` on, for kfree(); NULL without memory for it. Takes no
 * memory of the state's, runs no script, raises no error and needs less stack than
 * luaL_traceback(), so it may follow any error.
 */
char *lunatik_traceback(lua_State *L, int level, size_t *len);

#endif
