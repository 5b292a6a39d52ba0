/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Chunks compiled in one state to be run in others. They never come from elsewhere:
 * nothing checks them.
 */
#ifndef LUNATIK_BINARY_H
#define LUNATIK_BINARY_H

#include <linux/types.h>

#include "lua.h"

struct lunatik_binary {
	char *data;
	size_t len;
	size_t size;	/* of the block */
};

/*
 * Puts the function on top of the stack there, with at most `max` bytes. May sleep.
 * Raises memory errors.
 */
void lunatik_binary_dump(lua_State *L, struct lunatik_binary *binary, size_t max);

/* Pushes it as a function: LUA_OK, or an error on top of the stack as by lua_load(). */
int lunatik_binary_load(lua_State *L, const struct lunatik_binary *binary, const char *name);

void lunatik_binary_free(struct lunatik_binary *binary);

#endif
