/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a replica's callbacks run: packets' and timers'. */
#ifndef LUNATIK_CALLBACK_H
#define LUNATIK_CALLBACK_H

#include "lua/lunatik_lua.h"

/*
 * Makes what callbacks need, if it is not there yet: a coroutine of their own, for
 * they may come while a request's is within a function that sleeps, with the message
 * handler at the bottom of its stack; places in the registry; methods of packets.
 * Raises errors.
 */
void lunatik_callbacks_open(lua_State *L);

#endif
