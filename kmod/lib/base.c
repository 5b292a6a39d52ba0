// SPDX-License-Identifier: GPL-2.0-only
#include <linux/kernel.h>
#include <uapi/linux/lunatik.h>

#include "../event.h"
#include "../state.h"
#include "lib.h"

/* Opened by the first require(). */
static const luaL_Reg builtin[] = {
	{ "bpf",		lunatik_lib_open_bpf },
	{ "data",		lunatik_lib_open_data },
	{ "linux",		lunatik_lib_open_linux },
	{ "lunatik",		lunatik_lib_open_lunatik },
	{ "netfilter",		lunatik_lib_open_netfilter },
	{ "packet.address",	lunatik_lib_open_address },
	{ "tc",			lunatik_lib_open_tc },
	{ "xdp",		lunatik_lib_open_xdp },
};

/* Adds the string on top of the stack to the state's log. */
static int log_line(lua_State *L)
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	struct lunatik_state *state = replica->state;
	const struct lunatik_log_line *line;
	const char *text;
	size_t len;

	lunatik_lib_need_kernel(L);
	text = lua_tolstring(L, -1, &len);
	if (len > LUNATIK_LOG_LINE_MAX)
		return luaL_error(L, "a line of %I bytes exceeds the log's %d",
				  (lua_Integer)len, LUNATIK_LOG_LINE_MAX);
	line = lunatik_log_add(&state->log, &replica->logged, &replica->heap, text, len);
	if (!line) {
		lua_gc(L, LUA_GCCOLLECT);
		line = lunatik_log_add(&state->log, &replica->logged, &replica->heap, text, len);
	}
	if (!line)
		return lunatik_lib_nomem(L);
	lunatik_event_log(replica, line);
	return 0;
}

static int print(lua_State *L)
{
	int i, n = lua_gettop(L);
	luaL_Buffer buffer;

	luaL_buffinit(L, &buffer);
	for (i = 1; i <= n; i++) {
		if (i > 1)
			luaL_addchar(&buffer, '\t');
		luaL_tolstring(L, i, NULL);
		luaL_addvalue(&buffer);
	}
	luaL_pushresult(&buffer);
	return log_line(L);
}

/* warn(): lines of the log, too. Its upvalue tells whether it is on. */
static int warn(lua_State *L)
{
	int i, n = lua_gettop(L);
	const char *first = luaL_checkstring(L, 1);

	for (i = 2; i <= n; i++)
		luaL_checkstring(L, i);
	if (n == 1 && *first == '@') {
		if (!strcmp(first, "@on") || !strcmp(first, "@off")) {
			lua_pushboolean(L, !strcmp(first, "@on"));
			lua_replace(L, lua_upvalueindex(1));
		}
		return 0;
	}
	if (!lua_toboolean(L, lua_upvalueindex(1)))
		return 0;
	lua_pushliteral(L, "warning: ");
	lua_insert(L, 1);
	lua_concat(L, n + 1);
	return log_line(L);
}

/* As Lua's own, but without finalizers: hooks are off while one runs. */
static int setmetatable(lua_State *L)
{
	int type = lua_type(L, 2);

	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
	if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
		return luaL_error(L, "cannot change a protected metatable");
	if (type == LUA_TTABLE) {
		lua_pushliteral(L, "__gc");
		if (lua_rawget(L, 2) != LUA_TNIL)
			return luaL_error(L, "finalizers (__gc) are not available in the kernel");
	}
	lua_settop(L, 2);
	lua_setmetatable(L, 1);
	return 1;
}

/* Pushes what makes the module `name`, a function. */
static void push_loader(lua_State *L, const char *name)
{
	int i;

	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	if (lua_getfield(L, -1, name) != LUA_TNIL)
		return;
	for (i = 0; i < ARRAY_SIZE(builtin); i++) {
		if (!strcmp(builtin[i].name, name)) {
			lua_pushcfunction(L, builtin[i].func);
			return;
		}
	}
	if (lunatik_lib_push_script(L, name))
		return;
	luaL_error(L, "module '%s' not found: not built in, no field package.preload['%s']", name,
		   name);
}

static int require(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	lua_settop(L, 1);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	if (lua_getfield(L, 2, name) != LUA_TNIL)
		return 1;
	lua_pop(L, 1);
	push_loader(L, name);
	lua_pushvalue(L, 1);
	lua_call(L, 1, 1);
	if (lua_isnil(L, -1)) {
		/* The module may have set its field itself. */
		lua_pop(L, 1);
		if (lua_getfield(L, 2, name) == LUA_TNIL) {
			lua_pop(L, 1);
			lua_pushboolean(L, true);
		}
	}
	lua_pushvalue(L, -1);
	lua_setfield(L, 2, name);
	return 1;
}

static const luaL_Reg replaced[] = {
	{ "print",		print },
	{ "setmetatable",	setmetatable },
	{ "require",		require },
	{ "dofile",		NULL },
	{ "loadfile",		NULL },
	{ NULL,			NULL },
};

void lunatik_lib_amend_base(lua_State *L)
{
	const luaL_Reg *reg;

	lua_pushglobaltable(L);
	for (reg = replaced; reg->name; reg++) {
		if (reg->func)
			lua_pushcfunction(L, reg->func);
		else
			lua_pushnil(L);
		lua_setfield(L, -2, reg->name);
	}
	lua_pushboolean(L, true);
	lua_pushcclosure(L, warn, 1);
	lua_setfield(L, -2, "warn");

	lua_createtable(L, 0, 2);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, LUA_LOADLIBNAME);
	lua_setfield(L, -2, "loaded");
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	lua_setfield(L, -2, "preload");
	lua_setfield(L, -2, LUA_LOADLIBNAME);
	lua_pop(L, 1);
}
