// SPDX-License-Identifier: GPL-2.0-only
/* The libraries `xdp` and `tc`: the function that eBPF programs pass packets to. */
#include <linux/kernel.h>
#include <uapi/linux/bpf.h>
#include <uapi/linux/pkt_cls.h>

#include "../hook.h"
#include "lib.h"

struct verdict {
	const char *name;
	int value;
};

static int open(lua_State *L, lua_CFunction reg, const struct verdict *verdicts)
{
	lua_newtable(L);
	lua_pushcfunction(L, reg);
	lua_setfield(L, -2, "register");
	for (; verdicts->name; verdicts++) {
		lua_pushinteger(L, verdicts->value);
		lua_setfield(L, -2, verdicts->name);
	}
	return 1;
}

static int push_hook(lua_State *L, u32 kind, const char *name)
{
	const struct lunatik_hook_spec spec = { .kind = kind, .name = name };

	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	return lunatik_lib_push_hook(L, &spec);
}

static int xdp_register(lua_State *L)
{
	return push_hook(L, LUNATIK_HOOK_XDP, "xdp");
}

int lunatik_lib_open_xdp(lua_State *L)
{
	static const struct verdict verdicts[] = {
		{ "ABORTED",	XDP_ABORTED },
		{ "DROP",	XDP_DROP },
		{ "PASS",	XDP_PASS },
		{ "TX",		XDP_TX },
		{ "REDIRECT",	XDP_REDIRECT },
		{ NULL,		0 },
	};

	return open(L, xdp_register, verdicts);
}

static int tc_register(lua_State *L)
{
	return push_hook(L, LUNATIK_HOOK_TC, "tc");
}

int lunatik_lib_open_tc(lua_State *L)
{
	static const struct verdict verdicts[] = {
		{ "OK",		TC_ACT_OK },
		{ "SHOT",	TC_ACT_SHOT },
		{ "PIPE",	TC_ACT_PIPE },
		{ "REDIRECT",	TC_ACT_REDIRECT },
		{ NULL,		0 },
	};

	return open(L, tc_register, verdicts);
}
