// SPDX-License-Identifier: GPL-2.0-only
#define LUA_CORE
#include "lprefix.h"
#include "lua.h"
#include "ldo.h"
#include "lfunc.h"
#include "lstate.h"
#include "lvm.h"
#include "call.h"

/* One C call that cannot yield, as nyci in ldo.c */
#define CALL	(0x10000 | 1)

/* A function of Lua's with one argument, for which there is room on the stack. */
static inline int is_plain(lua_State *L, StkId func)
{
	return ttisLclosure(s2v(func)) && clLvalue(s2v(func))->p->numparams <= 1 &&
	       L->stack_last.p - L->top.p > clLvalue(s2v(func))->p->maxstacksize && L->ci->next;
}

/* What luaD_precall() comes to for one. Wants all results, so that none is made up. */
static inline CallInfo *enter(lua_State *L, StkId func)
{
	const Proto *p = clLvalue(s2v(func))->p;
	CallInfo *ci = L->ci->next;

	L->ci = ci;
	ci->func.p = func;
	ci->callstatus = CIST_FRESH | (LUA_MULTRET + 1);
	ci->top.p = func + 1 + p->maxstacksize;
	ci->u.l.savedpc = p->code;
	return ci;
}

static void call(lua_State *L, void *data)
{
	StkId func = L->top.p - 2;

	(void)data;
	if (l_unlikely(lunatik_cstack_low(L) || !is_plain(L, func))) {
		luaD_callnoyield(L, func, 1);
		return;
	}
	L->nCcalls += CALL;
	luaV_execute(L, enter(L, func));
	L->nCcalls -= CALL;
}

/* As luaD_pcall() does. */
static int recover(lua_State *L, TStatus status, ptrdiff_t top)
{
	L->ci = &L->base_ci;
	L->allowhook = 1;
	status = luaD_closeprotected(L, top, status);
	luaD_seterrorobj(L, status, restorestack(L, top));
	luaD_shrinkstack(L);
	return status;
}

enum lunatik_called lunatik_call(lua_State *L, int index, void *arg, lua_Integer *result,
				 int *status)
{
	StkId func = L->top.p;
	ptrdiff_t top = savestack(L, func);
	const TValue *value;

	setobjs2s(L, func, L->stack.p + index);
	setpvalue(s2v(func + 1), arg);
	L->top.p = func + 2;
	L->errfunc = savestack(L, L->stack.p + 1);
	*status = luaD_rawrunprotected(L, call, NULL);
	if (l_unlikely(*status != LUA_OK)) {
		*status = recover(L, *status, top);
		return LUNATIK_CALLED_FAILED;
	}
	func = restorestack(L, top);
	value = s2v(func);
	if (L->top.p == func || ttisnil(value)) {
		L->top.p = func;
		return LUNATIK_CALLED_NIL;
	}
	L->top.p = func;
	if (l_likely(ttisinteger(value))) {
		*result = ivalue(value);
		return LUNATIK_CALLED_INTEGER;
	}
	L->top.p = func + 1;
	return LUNATIK_CALLED_OTHER;
}

void lunatik_call_set(lua_State *callbacks, int index, lua_State *L)
{
	/* No barrier: a thread's stack is looked at again at the end of each collection. */
	setobj2s(callbacks, callbacks->stack.p + index, s2v(L->top.p - 1));
}

void lunatik_call_clear(lua_State *callbacks, int index)
{
	setbfvalue(s2v(callbacks->stack.p + index));
}
