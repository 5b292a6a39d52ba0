// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is left of Lua and of libc when floats, files and binary chunks are gone.
 */
#define LUA_CORE
#include "lprefix.h"
#include "lua.h"
#include "ldebug.h"
#include "ldo.h"
#include "lstate.h"
#include "lundump.h"
#include <setjmp.h>

long long lunatik_nofloat(lua_State *L, const char *what)
{
	luaG_runerror(L, "%s needs floating point, which the kernel does not have", what);
	return 0;
}

/* lua_load() asks for text only, so this is never reached; it must exist. */
LClosure *luaU_undump(lua_State *L, ZIO *Z, Table *anchor, const char *name, int fixed)
{
	(void)Z, (void)anchor, (void)name, (void)fixed;
	luaG_runerror(L, "binary chunks cannot be loaded");
	return NULL;
}

/* An error code, as a writer would return it. */
int luaU_dump(lua_State *L, const Proto *f, lua_Writer w, void *data, int strip)
{
	(void)L, (void)f, (void)w, (void)data, (void)strip;
	return 1;
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
