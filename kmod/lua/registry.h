/* SPDX-License-Identifier: GPL-2.0-only */
/* What the module has in the registry, behind Lua's own, where an index is fastest. */
#ifndef LUNATIK_REGISTRY_H
#define LUNATIK_REGISTRY_H

#include "lua.h"

enum {
	LUNATIK_RIDX_CHUNKS = LUA_RIDX_LAST + 1,	/* chunk.c's cache */
	LUNATIK_RIDX_RECEIVER,				/* lunatik.receive()'s function, or nil */
	LUNATIK_RIDX_DATA,				/* metatable of data buffers */
	/* From here on: callback.c's */
	LUNATIK_RIDX_CALLBACKS,				/* their coroutine */
	LUNATIK_RIDX_TIMERS,				/* those that have yet to fire, by address */
};

#endif
