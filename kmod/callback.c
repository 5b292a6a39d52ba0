// SPDX-License-Identifier: GPL-2.0-only
#include <linux/kernel.h>
#include <uapi/linux/lunatik.h>

#include "callback.h"
#include "lib/lib.h"
#include "lua/registry.h"
#include "packet.h"
#include "replica.h"
#include "run.h"
#include "state.h"

/* For any coroutine: what fails is L's, where it is caught. */
static void need_stack(lua_State *L, lua_State *of, int n)
{
	if (!lua_checkstack(of, n))
		lunatik_lib_nomem(L);
}

void lunatik_callbacks_open(lua_State *L)
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	bool process = replica->state->context == LUNATIK_CONTEXT_PROCESS;
	lua_State *callbacks;
	int i;

	if (replica->callbacks)
		return;
	need_stack(L, L, LUA_MINSTACK);
	lunatik_packet_open(L);
	lua_newtable(L);
	lua_rawseti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_TIMERS);
	callbacks = lua_newthread(L);
	lua_pushcfunction(callbacks, lunatik_run_on_error);
	if (!process) {
		need_stack(L, callbacks, LUNATIK_HOOKS_MAX + LUA_MINSTACK);
		for (i = 0; i < LUNATIK_HOOKS_MAX; i++)
			lua_pushboolean(callbacks, false);
	}
	lua_rawseti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_CALLBACKS);
	replica->callbacks = callbacks;
}
