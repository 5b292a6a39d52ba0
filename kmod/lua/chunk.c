// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chunks that are not compiled again.
 *
 * A client runs the same few lines over and over. What they were compiled to is
 * kept in a table with weak values, so that the next collection, at the latest the
 * one before memory is refused, takes what has not been in use meanwhile.
 */
#define LUA_CORE
#include "lprefix.h"
#include "lua.h"
#include "lapi.h"
#include "lfunc.h"
#include "lgc.h"
#include "lobject.h"
#include "lstate.h"
#include <string.h>

#include "chunk.h"
#include "load.h"
#include "registry.h"

/* Longer ones take longer to look up, and memory for their text. */
#define LENGTH_MAX	1024

/* The table is its own metatable. */
void lunatik_chunk_open(lua_State *L)
{
	lua_createtable(L, 0, 2);
	lua_pushliteral(L, "v");
	lua_setfield(L, -2, "__mode");
	lua_pushvalue(L, -1);
	lua_setmetatable(L, -2);
	lua_rawseti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_CHUNKS);
}

/* Arguments: the cache, code and function. */
static int keep(lua_State *L)
{
	lua_rawset(L, 1);
	return 0;
}

/*
 * In place of the main function on top of the stack, a new one of the same code:
 * each run has a variable _ENV of its own.
 */
static void renew(lua_State *L)
{
	LClosure *old = clLvalue(s2v(L->top.p - 1));
	LClosure *new = luaF_newLclosure(L, old->nupvalues);
	TValue globals;

	new->p = old->p;
	/* The old one is on the stack as long as the new one is not. */
	setclLvalue2s(L, L->top.p, new);
	api_incr_top(L);
	luaF_initupvals(L, new);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	setobj(L, &globals, s2v(L->top.p - 1));
	if (new->nupvalues) {
		setobj(L, new->upvals[0]->v.p, &globals);
		luaC_barrier(L, new->upvals[0], &globals);
	}
	lua_pop(L, 1);
	lua_replace(L, -2);
}

static int is_named(lua_State *L, const char *name)
{
	return lua_type(L, -1) == LUA_TFUNCTION &&
	       !strcmp(getstr(clLvalue(s2v(L->top.p - 1))->p->source), name);
}

int lunatik_chunk_load(lua_State *L, const char *code, size_t len, const char *name)
{
	int status;

	if (len > LENGTH_MAX)
		return lunatik_load_string(L, code, len, name, "t");
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_CHUNKS);
	lua_pushlstring(L, code, len);
	lua_pushvalue(L, -1);
	lua_rawget(L, -3);
	/* cache, code, function */
	if (is_named(L, name)) {
		renew(L);
	} else {
		lua_pop(L, 1);
		status = lunatik_load_string(L, code, len, name, "t");
		if (status != LUA_OK)
			return status;
		lua_pushcfunction(L, keep);
		lua_pushvalue(L, -4);
		lua_pushvalue(L, -4);
		lua_pushvalue(L, -4);
		/* Without memory it is not kept. */
		if (lua_pcall(L, 3, 0, 0) != LUA_OK)
			lua_pop(L, 1);
	}
	lua_replace(L, -3);
	lua_pop(L, 1);
	return LUA_OK;
}
