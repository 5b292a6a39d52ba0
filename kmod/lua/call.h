/* SPDX-License-Identifier: GPL-2.0-only */
/* The call that a packet takes: lua_pcall(), the value and the stack around it in one. */
#ifndef LUNATIK_CALL_H
#define LUNATIK_CALL_H

#include "lua.h"

enum lunatik_called {
	LUNATIK_CALLED_NIL,	/* returned nothing */
	LUNATIK_CALLED_INTEGER,
	LUNATIK_CALLED_OTHER,	/* returned something else, which is on top of the stack */
	LUNATIK_CALLED_FAILED,	/* the error is on top of the stack */
};

/*
 * Calls the function at `index` of the thread's stack, where the message handler is
 * the first, with one light userdata. Afterwards the stack is as it was but for what
 * enum lunatik_called says.
 */
enum lunatik_called lunatik_call(lua_State *L, int index, void *arg, lua_Integer *result,
				 int *status);

/*
 * Puts the value on top of L's stack there, which keeps it. `callbacks` may be in the
 * middle of a call, or be L.
 */
void lunatik_call_set(lua_State *callbacks, int index, lua_State *L);

/* Puts false there. Not only for runs. */
void lunatik_call_clear(lua_State *callbacks, int index);

#endif
