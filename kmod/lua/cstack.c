// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bound of the C stack.
 *
 * Lua counts nested C calls; a kernel stack is too small for the count that
 * ordinary programs need and the frames differ too much in size. So the real
 * stack pointer decides, against two addresses that are set when a run begins:
 * past the soft one an error is raised, and what handles that error (a message
 * handler, say) may go on to the hard one.
 */
#define LUA_CORE
#include "lprefix.h"
#include "lua.h"
#include "ldebug.h"
#include "ldo.h"
#include "lgc.h"
#include "lstate.h"
#include "lstring.h"

static const char overflow[] = "C stack overflow";

void lunatik_cstack_open(lua_State *L)
{
	luaC_fix(L, obj2gco(luaS_new(L, overflow)));
	/* luaD_errerr()'s */
	luaC_fix(L, obj2gco(luaS_newliteral(L, "error in error handling")));
	/* lua_resume()'s, which it makes where nothing would catch an error of memory. */
	luaC_fix(L, obj2gco(luaS_newliteral(L, "cannot resume non-suspended coroutine")));
	luaC_fix(L, obj2gco(luaS_newliteral(L, "cannot resume dead coroutine")));
}

static void push_overflow(lua_State *L)
{
	setsvalue2s(L, L->top.p, luaS_new(L, overflow));
	L->top.p++;	/* EXTRA_STACK */
}

static void throw_overflow(lua_State *L)
{
	push_overflow(L);
	luaD_throw(L, LUA_ERRRUN);
}

void luaE_checkcstack(lua_State *L)
{
	struct lunatik_guard *guard = lunatik_guard(L);
	unsigned long here = (unsigned long)__builtin_frame_address(0);

	/* A finalizer, and so one of Lua's own: its memory would be lost. */
	if (G(L)->gcstp & GCSTPGC)
		return;
	if (guard->overflowed) {
		if (here < guard->stack_hard || getCcalls(L) >= LUNATIK_MAXCCALLS / 10 * 11)
			luaD_errerr(L);
		return;
	}
	/* A message handler would only fail, and hide this error. */
	if (here - guard->stack_end < lunatik_stack_handler)
		throw_overflow(L);
	guard->overflowed = 1;
	if (here - guard->stack_end >= lunatik_stack_text)
		luaG_runerror(L, overflow);
	push_overflow(L);
	luaG_errormsg(L);
}

void lunatik_cstack_thrown(lua_State *L, int status)
{
	struct lunatik_guard *guard = lunatik_guard(L);

	if (status != LUA_ERRMEM || !guard || !lunatik_cstack_low(L) || !lunatik_lacked_stack(L))
		return;
	if (guard->overflowed)
		luaD_errerr(L);
	throw_overflow(L);
}

void lunatik_cstack_check(lua_State *L)
{
	luaE_checkcstack(L);
}

/* The parser's recursion; a long chunk is compiled under the deadline, too. */
void luaE_incCstack(lua_State *L)
{
	L->nCcalls++;
	if (l_unlikely(getCcalls(L) >= LUAI_MAXCCALLS))
		luaE_checkcstack(L);
	lunatik_poll(L);
}

/* Called when an error has been caught, maybe before the state is complete. */
void lunatik_cstack_caught(lua_State *L)
{
	struct lunatik_guard *guard = lunatik_guard(L);

	/* Below, it was text of the error's own that found no memory. */
	if (guard && (unsigned long)__builtin_frame_address(0) >= guard->stack_hard)
		guard->overflowed = 0;
}

void lunatik_match_attend(lua_State *L)
{
	unsigned long left = (unsigned long)__builtin_frame_address(0) - lunatik_guard(L)->stack_end;

	if (l_unlikely(left < lunatik_stack_text))
		luaE_checkcstack(L);
	else if (l_unlikely(lunatik_cstack_low(L)))
		luaG_runerror(L, "pattern too complex");
	lunatik_poll(L);
}
