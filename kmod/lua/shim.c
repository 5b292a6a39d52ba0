// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is left of Lua and of libc when floats and files are gone.
 */
#define LUA_CORE
#include "lprefix.h"
#include "lua.h"
#include "ldebug.h"
#include "ldo.h"
#include "lstate.h"
#include <setjmp.h>

long long lunatik_nofloat(lua_State *L, const char *what)
{
	luaG_runerror(L, "%s needs floating point, which the kernel does not have", what);
	return 0;
}

void lunatik_shed_handlers(lua_State *L)
{
	L->errfunc = 0;
	L->allowhook = 1;
}

#ifdef __SANITIZE_ADDRESS__
void __asan_allocas_unpoison(void *from, long to);

/* The frames that longjmp() skips cannot take their marks off the stack, as they do when they end. */
void lunatik_unwind(unsigned long to)
{
	__asan_allocas_unpoison(__builtin_frame_address(0), (long)to);
}
#endif
