/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_TRACEBACK_H
#define LUNATIK_TRACEBACK_H

#include "lua/lunatik_lua.h"

struct lunatik_reply;

/*
 * Puts a traceback from `level` on into the reply, as TRACEBACK; nothing without
 * memory for it. Takes no memory of the state's, runs no script, raises no error
 * and needs less stack than luaL_traceback(), so it may follow any error.
 */
void lunatik_traceback(lua_State *L, int level, struct lunatik_reply *reply);

#endif
