// SPDX-License-Identifier: GPL-2.0-only
/* Handles: userdata that stand for what a script started, and end it. */
#include <linux/kernel.h>

#include "lib.h"

void lunatik_lib_set_handle(lua_State *L, const char *name, const luaL_Reg *methods,
			    lua_CFunction tostring, lua_CFunction close)
{
	if (luaL_getmetatable(L, name) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_createtable(L, 0, 5);
		lua_newtable(L);
		luaL_setfuncs(L, methods, 0);
		lua_setfield(L, -2, "__index");
		lua_pushcfunction(L, tostring);
		lua_setfield(L, -2, "__tostring");
		lua_pushcfunction(L, close);
		lua_setfield(L, -2, "__close");
		lua_pushstring(L, name);
		lua_setfield(L, -2, "__name");
		/* For getmetatable() */
		lua_pushstring(L, name);
		lua_setfield(L, -2, "__metatable");
		/* Last, for without memory the next handle is to find it whole or not at all. */
		lua_pushvalue(L, -1);
		lua_setfield(L, LUA_REGISTRYINDEX, name);
	}
	lua_setmetatable(L, -2);
}
