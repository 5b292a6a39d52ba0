/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before lstrlib.c, in addition to lib_config.h.
 *
 * The matcher polls at each of its steps: its functions have a `ms` in scope,
 * which hides the one below, and say l_unlikely() in each step.
 */
#ifndef LUNATIK_STRING_CONFIG_H
#define LUNATIK_STRING_CONFIG_H

#include <stdio.h>
#include <string.h>
#include "lib_config.h"

static const struct { struct lua_State *L; } lunatik_no_match, *const ms = &lunatik_no_match;

#undef luai_unlikely
#define luai_unlikely(x) \
	((ms->L ? lunatik_match_step(ms->L) : (void)0), __builtin_expect(((x) != 0), 0))

/*
 * In the same way, what has a `L` in scope polls where it loops.
 */
static struct lua_State *const L = (struct lua_State *)0;
#define lunatik_poll_here()	((L) ? lunatik_poll(L) : (void)0)

/*
 * string.format(): C takes a precision without digits, "%.s", for 0, the kernel
 * for none, and a string then is longer than the room that Lua has made for it.
 * Only string.format()'s own buffer has a '.', and room for a digit more.
 */
static inline const char *lunatik_with_precision(const char *format)
{
	char *dot = strchr(format, '.');

	if (dot && (dot[1] < '0' || dot[1] > '9')) {
		size_t i;

		for (i = strlen(dot); i; i--)
			dot[i + 1] = dot[i];
		dot[1] = '0';
	}
	return format;
}

/* snprintf() tells what it would have written, of which Lua believes each byte. */
static inline int lunatik_written(int len, size_t size)
{
	return (size_t)len < size ? len : (int)size - 1;
}
#undef l_sprintf
#define l_sprintf(s, sz, f, i) \
	lunatik_written(snprintf(s, sz, lunatik_with_precision(f), i), sz)

/* string.format("%p") */
#define lua_topointer(L, index)	lunatik_hidden_pointer(lua_topointer(L, index))

/* string.rep() */
#define memcpy(d, s, n)		(lunatik_poll_here(), memcpy(d, s, n))

/* string.pack(), unpack() and packsize(), for each option */
#undef luaL_argcheck
#define luaL_argcheck(L, cond, arg, extramsg) \
	(lunatik_poll(L), luai_likely(cond) ? 0 : luaL_argerror(L, arg, extramsg))

/* string.format("%q"), for each byte that is escaped by its number */
static inline void lunatik_addstring(luaL_Buffer *buffer, const char *s)
{
	lunatik_poll(buffer->L);
	luaL_addstring(buffer, s);
}
#define luaL_addstring		lunatik_addstring

/*
 * string.find(s, plain text): no lua_State in scope. The kernel's memchr() goes
 * byte by byte; it gets the word that has the byte, or the rest.
 */
static inline void *lunatik_memchr(const char *s, int c, size_t n)
{
	const unsigned long ones = ~0UL / 255, sought = ones * (unsigned char)c;

	if (LUNATIK_TIMED)
		lunatik_poll_running();
	for (; n >= sizeof(ones); s += sizeof(ones), n -= sizeof(ones)) {
		unsigned long word;

		__builtin_memcpy(&word, s, sizeof(word));
		word ^= sought;
		/* Is a byte 0? */
		if ((word - ones) & ~word & ones << 7)
			break;
	}
	return memchr(s, c, n);
}
#define memchr			lunatik_memchr

/* string.format("%f"), string.pack("d"), string.unpack("d") */
#undef lua_pushnumber
#define luaL_checknumber(L, arg)	lunatik_nofloat(L, "the format")
#define lua_pushnumber(L, n)		((void)(n), lunatik_nofloat(L, "the format"))
#define float			int
#define double			long long

#endif
