// SPDX-License-Identifier: GPL-2.0-only
#include <linux/kernel.h>
#include <linux/string.h>
#include <asm/byteorder.h>

#include "../packet.h"
#include "../lua/args.h"
#include "ltable.h"
#include "../lua/registry.h"
#include "buffer.h"

static const char expected[] = "data buffer or packet";

/* Not inlined: the methods are to keep no registers for what is not to happen. */
static noinline __cold struct lunatik_buffer *no_buffer(lua_State *L, int n)
{
	luaL_typeerror(L, n, expected);
	return NULL;
}

static noinline __cold struct lunatik_buffer *no_packet(lua_State *L)
{
	luaL_error(L, "packet used outside its callback");
	return NULL;
}

/* What a light userdata stands for. */
static __always_inline struct lunatik_buffer *packet_buffer(lua_State *L, void *token)
{
	struct lunatik_packet *packet = lunatik_packet_in_hand(L, token);

	return likely(packet) ? &packet->buffer : no_packet(L);
}

static __always_inline const Table *data_metatable(lua_State *L)
{
	Table *registry = hvalue(&G(L)->l_registry);
	TValue value;
	lu_byte tag;

	luaH_fastgeti(registry, LUNATIK_RIDX_DATA, &value, tag);
	return tag == ctb(LUA_VTABLE) ? hvalue(&value) : NULL;
}

static __always_inline struct lunatik_buffer *check(lua_State *L, int n)
{
	const TValue *arg = lunatik_arg(L, n);
	Udata *udata;

	if (unlikely(!arg))
		return no_buffer(L, n);
	if (ttislightuserdata(arg))
		return packet_buffer(L, pvalue(arg));
	if (unlikely(!ttisfulluserdata(arg)))
		return no_buffer(L, n);
	udata = uvalue(arg);
	if (unlikely(!udata->metatable || udata->metatable != data_metatable(L)))
		return no_buffer(L, n);
	return (struct lunatik_buffer *)getudatamem(udata);
}

struct lunatik_buffer *lunatik_buffer_check(lua_State *L, int n)
{
	return check(L, n);
}

/* Whether n bytes are at `off` of those from low up to `end`. */
static __always_inline bool within(s32 low, u32 end, lua_Integer off, u64 n)
{
	u64 size = (s64)end - low, at = (u64)off - (s64)low;

	return at <= size && size - at >= n;
}

static noinline __cold void out_of_bounds(lua_State *L, const struct lunatik_buffer *buffer,
					  lua_Integer off, lua_Integer n)
{
	luaL_error(L, "out of bounds: %I bytes at offset %I, length %I", n, off,
		   (lua_Integer)buffer->len);
}

static __always_inline void check_bounds(lua_State *L, const struct lunatik_buffer *buffer,
					 lua_Integer off, lua_Integer n)
{
	if (unlikely(!within(buffer->low, buffer->len, off, n)))
		out_of_bounds(L, buffer, off, n);
}

void lunatik_buffer_copy(lua_State *L, const struct lunatik_buffer *buffer, s32 off, void *to,
			 u32 n)
{
	if (within(buffer->low, buffer->linear, off, n))
		memcpy(to, buffer->data + off, n);
	else if (!buffer->ops->read(buffer, off, to, n))
		luaL_error(L, "%I bytes at offset %I cannot be read", (lua_Integer)n,
			   (lua_Integer)off);
}

static noinline void read_far(lua_State *L, const struct lunatik_buffer *buffer, lua_Integer off,
			      void *to, u32 n)
{
	check_bounds(L, buffer, off, n);
	lunatik_buffer_copy(L, buffer, off, to, n);
}

static __always_inline int get(lua_State *L, u32 n, bool little)
{
	const struct lunatik_buffer *buffer = check(L, 1);
	lua_Integer off = lunatik_arg_integer(L, 2);
	union {
		u8 u8;
		u16 u16;
		u32 u32;
		u64 u64;
	} value;
	u64 result;

	if (likely(within(buffer->low, buffer->linear, off, n)))
		memcpy(&value, buffer->data + off, n);
	else
		read_far(L, buffer, off, &value, n);
	switch (n) {
	case 1:
		result = value.u8;
		break;
	case 2:
		result = little ? le16_to_cpu((__force __le16)value.u16) :
				  be16_to_cpu((__force __be16)value.u16);
		break;
	case 4:
		result = little ? le32_to_cpu((__force __le32)value.u32) :
				  be32_to_cpu((__force __be32)value.u32);
		break;
	default:
		result = little ? le64_to_cpu((__force __le64)value.u64) :
				  be64_to_cpu((__force __be64)value.u64);
	}
	lunatik_push_integer(L, result);
	return 1;
}

static void write(lua_State *L, struct lunatik_buffer *buffer, lua_Integer off, const void *from,
		  lua_Integer n)
{
	check_bounds(L, buffer, off, n);
	if (buffer->ops)
		buffer->ops->write(buffer, L, off, from, n);
	else
		memcpy(buffer->data + off, from, n);
}

/* The value as one of n bytes; it may be signed or not. */
static __always_inline u64 check_value(lua_State *L, u32 n)
{
	lua_Integer value = lunatik_arg_integer(L, 3);
	unsigned int bits = 8 * n;

	if (n < sizeof(value) &&
	    unlikely(value < -(1LL << (bits - 1)) || value >= 1LL << bits))
		luaL_error(L, "%I does not fit into %d bits", value, bits);
	return value;
}

static __always_inline int set(lua_State *L, u32 n, bool little)
{
	struct lunatik_buffer *buffer = check(L, 1);
	lua_Integer off = lunatik_arg_integer(L, 2);
	u64 value = check_value(L, n);
	__le64 low = cpu_to_le64(value);
	__be64 high = cpu_to_be64(value);

	write(L, buffer, off, little ? (u8 *)&low : (u8 *)&high + sizeof(high) - n, n);
	return 0;
}

#define ACCESS(name, n, little)			\
	static int name(lua_State *L)		\
	{					\
		return get(L, n, little);	\
	}					\
	static int set_##name(lua_State *L)	\
	{					\
		return set(L, n, little);	\
	}

ACCESS(b_u8, 1, false)
ACCESS(b_u16, 2, false)
ACCESS(b_u32, 4, false)
ACCESS(b_u64, 8, false)
ACCESS(b_u16le, 2, true)
ACCESS(b_u32le, 4, true)
ACCESS(b_u64le, 8, true)

static int b_string(lua_State *L)
{
	const struct lunatik_buffer *buffer = lunatik_buffer_check(L, 1);
	lua_Integer off = luaL_optinteger(L, 2, 0), n;
	luaL_Buffer result;

	if (lua_isnoneornil(L, 3)) {
		check_bounds(L, buffer, off, 0);
		n = buffer->len - off;
	} else {
		n = luaL_checkinteger(L, 3);
		luaL_argcheck(L, n >= 0, 3, "negative length");
		check_bounds(L, buffer, off, n);
	}
	if (within(buffer->low, buffer->linear, off, n)) {
		lua_pushlstring(L, buffer->data + off, n);
		return 1;
	}
	lunatik_need_cstack(L);
	lunatik_buffer_copy(L, buffer, off, luaL_buffinitsize(L, &result, n), n);
	luaL_pushresultsize(&result, n);
	return 1;
}

static int set_string(lua_State *L)
{
	struct lunatik_buffer *buffer = lunatik_buffer_check(L, 1);
	lua_Integer off = luaL_checkinteger(L, 2);
	size_t len;
	const char *text = luaL_checklstring(L, 3, &len);

	write(L, buffer, off, text, len);
	return 0;
}

static int length(lua_State *L)
{
	lunatik_push_integer(L, check(L, 1)->len);
	return 1;
}

static const luaL_Reg methods[] = {
	{ "u8",		b_u8 },
	{ "u16",	b_u16 },
	{ "u32",	b_u32 },
	{ "u64",	b_u64 },
	{ "u16le",	b_u16le },
	{ "u32le",	b_u32le },
	{ "u64le",	b_u64le },
	{ "string",	b_string },
	{ "setu8",	set_b_u8 },
	{ "setu16",	set_b_u16 },
	{ "setu32",	set_b_u32 },
	{ "setu64",	set_b_u64 },
	{ "setu16le",	set_b_u16le },
	{ "setu32le",	set_b_u32le },
	{ "setu64le",	set_b_u64le },
	{ "setstring",	set_string },
	{ NULL,		NULL },
};

static int count(const luaL_Reg *reg)
{
	int n = 0;

	while (reg && reg[n].name)
		n++;
	return n;
}

void lunatik_buffer_push_metatable(lua_State *L, const char *name, const luaL_Reg *more)
{
	lua_createtable(L, 0, 4);
	lua_createtable(L, 0, count(methods) + count(more));
	luaL_setfuncs(L, methods, 0);
	if (more)
		luaL_setfuncs(L, more, 0);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, length);
	lua_setfield(L, -2, "__len");
	lua_pushstring(L, name);
	lua_setfield(L, -2, "__name");
	/* For getmetatable() */
	lua_pushstring(L, name);
	lua_setfield(L, -2, "__metatable");
}
