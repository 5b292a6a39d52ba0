// SPDX-License-Identifier: GPL-2.0-only
/* The part of Lua's math library that integers have. */
#include <linux/log2.h>
#include <linux/prandom.h>
#include <linux/random.h>

#include "../state.h"
#include "lib.h"

static int math_abs(lua_State *L)
{
	lua_Integer n = luaL_checkinteger(L, 1);

	/* Wraps around for mininteger, as Lua's does. */
	lua_pushinteger(L, n < 0 ? (lua_Integer)(0 - (lua_Unsigned)n) : n);
	return 1;
}

static int math_identity(lua_State *L)
{
	lua_pushinteger(L, luaL_checkinteger(L, 1));
	return 1;
}

/* The remainder with the sign of the dividend, where % has the divisor's. */
static int math_fmod(lua_State *L)
{
	lua_Integer a = luaL_checkinteger(L, 1);
	lua_Integer b = luaL_checkinteger(L, 2);

	luaL_argcheck(L, b, 2, "zero");
	/* mininteger % -1 overflows in the processor. */
	lua_pushinteger(L, b == -1 ? 0 : a % b);
	return 1;
}

/* Pushes the argument that is less (LUA_OPLT) than the others, or the greatest. */
static int extreme(lua_State *L, bool greatest)
{
	int i, best = 1, n = lua_gettop(L);

	luaL_checkinteger(L, 1);
	for (i = 2; i <= n; i++) {
		luaL_checkinteger(L, i);
		if (greatest ? lua_compare(L, best, i, LUA_OPLT) : lua_compare(L, i, best, LUA_OPLT))
			best = i;
	}
	lua_pushinteger(L, lua_tointeger(L, best));
	return 1;
}

static int math_max(lua_State *L)
{
	return extreme(L, true);
}

static int math_min(lua_State *L)
{
	return extreme(L, false);
}

static int math_tointeger(lua_State *L)
{
	int is_integer;
	lua_Integer n = lua_tointegerx(L, 1, &is_integer);

	if (is_integer) {
		lua_pushinteger(L, n);
	} else {
		luaL_checkany(L, 1);
		luaL_pushfail(L);
	}
	return 1;
}

static int math_type(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TNUMBER) {
		lua_pushliteral(L, "integer");
	} else {
		luaL_checkany(L, 1);
		luaL_pushfail(L);
	}
	return 1;
}

static int math_ult(lua_State *L)
{
	lua_pushboolean(L, (lua_Unsigned)luaL_checkinteger(L, 1) <
			   (lua_Unsigned)luaL_checkinteger(L, 2));
	return 1;
}

static u64 next_random(lua_State *L)
{
	struct rnd_state *random = &lunatik_replica_of(L)->random;
	u64 high = prandom_u32_state(random);

	return high << 32 | prandom_u32_state(random);
}

/* Uniform in 0..limit. */
static u64 project(lua_State *L, u64 limit)
{
	u64 mask = limit ? GENMASK_ULL(ilog2(limit), 0) : 0;
	u64 n;

	do
		n = next_random(L) & mask;
	while (n > limit);
	return n;
}

static int math_random(lua_State *L)
{
	lua_Integer low = 1, high;

	switch (lua_gettop(L)) {
	case 0:
		return luaL_error(L, "a random number without a range needs floating point, which the kernel does not have");
	case 1:
		high = luaL_checkinteger(L, 1);
		if (!high) {
			lua_pushinteger(L, next_random(L));
			return 1;
		}
		break;
	case 2:
		low = luaL_checkinteger(L, 1);
		high = luaL_checkinteger(L, 2);
		break;
	default:
		return luaL_error(L, "wrong number of arguments");
	}
	luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
	lua_pushinteger(L, (u64)low + project(L, (u64)high - (u64)low));
	return 1;
}

/* Returns the seed, with which the same numbers come again. */
static int math_randomseed(lua_State *L)
{
	u64 seed = lua_isnone(L, 1) ? get_random_u64() : luaL_checkinteger(L, 1);

	prandom_seed_state(&lunatik_replica_of(L)->random, seed);
	lua_pushinteger(L, seed);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "abs",	math_abs },
	{ "ceil",	math_identity },
	{ "floor",	math_identity },
	{ "fmod",	math_fmod },
	{ "max",	math_max },
	{ "min",	math_min },
	{ "random",	math_random },
	{ "randomseed",	math_randomseed },
	{ "tointeger",	math_tointeger },
	{ "type",	math_type },
	{ "ult",	math_ult },
	{ "maxinteger",	NULL },
	{ "mininteger",	NULL },
	{ NULL,		NULL },
};

int lunatik_lib_open_math(lua_State *L)
{
	luaL_newlib(L, functions);
	lua_pushinteger(L, LUA_MAXINTEGER);
	lua_setfield(L, -2, "maxinteger");
	lua_pushinteger(L, LUA_MININTEGER);
	lua_setfield(L, -2, "mininteger");
	return 1;
}
