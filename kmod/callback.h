/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a replica's callbacks run: packets' and timers'. */
#ifndef LUNATIK_CALLBACK_H
#define LUNATIK_CALLBACK_H

#include <uapi/linux/lunatik.h>

#include "lua/lunatik_lua.h"

/*
 * The stack of the coroutine: the message handler, and then the functions of hooks by
 * their index, false where there is none.
 */
#define LUNATIK_CALLBACK_HANDLER	1
#define LUNATIK_CALLBACK_HOOKS		2

/*
 * Makes what callbacks need, if it is not there yet: a coroutine of their own, for
 * they may come while a request's is within a function that sleeps; methods of
 * packets.
 * Raises errors.
 */
void lunatik_callbacks_open(lua_State *L);

#endif
