// SPDX-License-Identifier: GPL-2.0-only
/* The library `data`: buffers of bytes that belong to the script. */
#include <linux/kernel.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "../lua/registry.h"
#include "buffer.h"

struct data {
	struct lunatik_buffer buffer;
	u8 bytes[];
};

/* Pushes one with bytes that are whatever they are. */
static struct data *push(lua_State *L, lua_Integer size)
{
	struct data *data;

	luaL_argcheck(L, size >= 0 && size <= INT_MAX - sizeof(*data), 1, "size out of range");
	data = lua_newuserdatauv(L, sizeof(*data) + size, 0);
	data->buffer = (struct lunatik_buffer){ .data = data->bytes, .linear = size, .len = size };
	return data;
}

/* Many bytes take their time. */
static void clear(lua_State *L, struct data *data)
{
	u32 done, n;

	for (done = 0; done < data->buffer.len; done += n) {
		n = min_t(u32, data->buffer.len - done, SZ_64K);
		memset(data->bytes + done, 0, n);
		lunatik_poll(L);
	}
}

static void copy(lua_State *L, struct data *data, const struct lunatik_buffer *from)
{
	u32 done, n;

	for (done = 0; done < data->buffer.len; done += n) {
		n = min_t(u32, data->buffer.len - done, SZ_64K);
		lunatik_buffer_copy(L, from, done, data->bytes + done, n);
		lunatik_poll(L);
	}
}

static int data_new(lua_State *L)
{
	const struct lunatik_buffer *from;
	struct data *data;
	const char *text;
	size_t len;

	switch (lua_type(L, 1)) {
	case LUA_TNUMBER:
		clear(L, push(L, lua_tointeger(L, 1)));
		break;
	case LUA_TSTRING:
		text = lua_tolstring(L, 1, &len);
		data = push(L, len);
		memcpy(data->bytes, text, len);
		break;
	case LUA_TUSERDATA:
	case LUA_TLIGHTUSERDATA:
		from = lunatik_buffer_check(L, 1);
		copy(L, push(L, from->len), from);
		break;
	default:
		return luaL_typeerror(L, 1, "size, string, data buffer or packet");
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_DATA);
	lua_setmetatable(L, -2);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "new",	data_new },
	{ NULL,		NULL },
};

int lunatik_lib_open_data(lua_State *L)
{
	if (lua_rawgeti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_DATA) != LUA_TTABLE) {
		lunatik_buffer_push_metatable(L, "data", NULL);
		lua_rawseti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_DATA);
	}
	luaL_newlib(L, functions);
	return 1;
}
