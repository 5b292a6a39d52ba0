/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A C function's arguments and results without the API's calls, for functions that
 * scripts call for each packet. Include it after kernel headers.
 */
#ifndef LUNATIK_ARGS_H
#define LUNATIK_ARGS_H

#include "lunatik_lua.h"
#include "lobject.h"
#include "lstate.h"

/* The argument `n` of the C function that runs, or NULL. */
static __always_inline const TValue *lunatik_arg(const lua_State *L, int n)
{
	StkId arg = L->ci->func.p + n;

	return likely(arg < L->top.p) ? s2v(arg) : NULL;
}

/* As luaL_checkinteger(). */
static __always_inline lua_Integer lunatik_arg_integer(lua_State *L, int n)
{
	const TValue *arg = lunatik_arg(L, n);

	return likely(arg && ttisinteger(arg)) ? ivalue(arg) : luaL_checkinteger(L, n);
}

/* The light userdata that is the first upvalue of the C function that runs, a closure. */
static __always_inline void *lunatik_upvalue(const lua_State *L)
{
	return pvalue(&clCvalue(s2v(L->ci->func.p))->upvalue[0]);
}

/* As lua_pushinteger(). */
static __always_inline void lunatik_push_integer(lua_State *L, lua_Integer n)
{
	StkId top = L->top.p;

	setivalue(s2v(top), n);
	L->top.p = top + 1;
}

#endif
