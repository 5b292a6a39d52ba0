/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before lstrlib.c, in addition to lib_config.h.
 *
 * The matcher polls at each of its steps: its functions have a `ms` in scope,
 * which hides the one below, and say l_unlikely() in each step.
 */
#ifndef LUNATIK_STRING_CONFIG_H
#define LUNATIK_STRING_CONFIG_H

#include "lib_config.h"

static const struct { struct lua_State *L; } lunatik_no_match, *const ms = &lunatik_no_match;

#undef luai_unlikely
#define luai_unlikely(x) \
	((ms->L ? lunatik_match_step(ms->L) : (void)0), __builtin_expect(((x) != 0), 0))

/* string.find(s, plain text): no lua_State in scope */
#define memchr(s, c, n)		((void *)lunatik_memchr(s, c, n))

/* string.format("%f"), string.pack("d"), string.unpack("d") */
#undef lua_pushnumber
#define luaL_checknumber(L, arg)	lunatik_nofloat(L, "the format")
#define lua_pushnumber(L, n)		((void)(n), lunatik_nofloat(L, "the format"))
#define float			int
#define double			long long

#endif
