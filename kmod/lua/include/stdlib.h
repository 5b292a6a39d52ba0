/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_STDLIB_H
#define LUNATIK_STDLIB_H

#include <stddef.h>

/* Lua runs protected always, so nothing calls this. */
#define abort()		__builtin_trap()
#define abs(i)		__builtin_abs(i)

/* luaL_newstate()'s allocator, which nothing uses */
#define realloc(p, n)	((void)(p), (void)(n), NULL)
#define free(p)		((void)(p))

#endif
