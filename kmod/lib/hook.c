// SPDX-License-Identifier: GPL-2.0-only
/* What register() of the libraries netfilter, xdp and tc has in common: its result. */
#include <linux/kernel.h>
#include <linux/string.h>

#include "../hook.h"
#include "lib.h"

#define METATABLE	"hook"

struct handle {
	u64 id;		/* the hook's; 0 without one */
	char name[48];
};

static int hook_unregister(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, METATABLE);

	if (handle->id)
		lunatik_hook_unregister(L, handle->id);
	handle->id = 0;
	return 0;
}

static int hook_tostring(lua_State *L)
{
	const struct handle *handle = luaL_checkudata(L, 1, METATABLE);

	lua_pushfstring(L, "hook (%s%s)", handle->name,
			handle->id && lunatik_hook_is_registered(L, handle->id) ?
			"" : ", unregistered");
	return 1;
}

static const luaL_Reg methods[] = {
	{ "unregister",	hook_unregister },
	{ NULL,		NULL },
};

int lunatik_lib_push_hook(lua_State *L, const struct lunatik_hook_spec *spec)
{
	struct handle *handle;

	/* Before anything is registered, for what follows may fail. */
	handle = lua_newuserdatauv(L, sizeof(*handle), 0);
	handle->id = 0;
	strscpy(handle->name, spec->name, sizeof(handle->name));
	lunatik_lib_set_handle(L, METATABLE, methods, hook_tostring, hook_unregister);
	lua_insert(L, -2);
	handle->id = lunatik_hook_register(L, spec);
	lua_pop(L, 1);
	return 1;
}
