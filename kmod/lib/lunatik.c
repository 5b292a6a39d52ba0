// SPDX-License-Identifier: GPL-2.0-only
/* The library `lunatik`: the state that a script runs in. */
#include <net/net_namespace.h>
#include <uapi/linux/lunatik.h>

#include "../lua/registry.h"
#include "../netns.h"
#include "../session.h"
#include "../state.h"
#include "../timer.h"
#include "lib.h"

bool lunatik_lib_push_receiver(lua_State *L)
{
	if (lua_rawgeti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_RECEIVER) == LUA_TFUNCTION)
		return true;
	lua_pop(L, 1);
	return false;
}

static int lunatik_receive(lua_State *L)
{
	int type = lua_type(L, 1);

	luaL_argexpected(L, type == LUA_TFUNCTION || type == LUA_TNIL, 1, "function or nil");
	lua_settop(L, 1);
	lua_rawseti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_RECEIVER);
	return 0;
}

static int lunatik_send(lua_State *L)
{
	size_t len;
	const char *data = luaL_checklstring(L, 1, &len);
	int delivered;

	lunatik_lib_need_kernel(L);
	luaL_argcheck(L, len <= LUNATIK_DATA_MAX, 1,
		      "longer than " __stringify(LUNATIK_DATA_MAX) " bytes");
	delivered = lunatik_session_publish(lunatik_replica_of(L), data, len);
	if (delivered < 0)
		return lunatik_lib_nomem(L);
	lua_pushinteger(L, delivered);
	return 1;
}

static int push_timer(lua_State *L, bool again)
{
	lua_Integer ms = luaL_checkinteger(L, 1);

	luaL_argcheck(L, ms >= again, 1, again ? "must be at least 1" : "must not be negative");
	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	lunatik_timer_push(L, ms, again);
	return 1;
}

static int lunatik_after(lua_State *L)
{
	return push_timer(L, false);
}

static int lunatik_every(lua_State *L)
{
	return push_timer(L, true);
}

static const luaL_Reg functions[] = {
	{ "after",	lunatik_after },
	{ "every",	lunatik_every },
	{ "receive",	lunatik_receive },
	{ "send",	lunatik_send },
	{ "cpu",	NULL },
	{ "name",	NULL },
	{ "netns",	NULL },
	{ NULL,		NULL },
};

int lunatik_lib_open_lunatik(lua_State *L)
{
	struct lunatik_state *state = lunatik_state_of(L);

	luaL_newlib(L, functions);
	lua_pushstring(L, state->name);
	lua_setfield(L, -2, "name");
	lua_pushinteger(L, state->lnet->net->ns.inum);
	lua_setfield(L, -2, "netns");
	/* Not that of who runs the script, which may be another one than packets will. */
	if (state->nreplicas > 1)
		lua_pushinteger(L, lunatik_replica_of(L) - state->replicas);
	else
		lua_pushnil(L);
	lua_setfield(L, -2, "cpu");
	return 1;
}
