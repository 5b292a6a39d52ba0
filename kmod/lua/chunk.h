/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_CHUNK_H
#define LUNATIK_CHUNK_H

#include "lua.h"

/* Prepares a fresh state. */
void lunatik_chunk_open(lua_State *L);

/*
 * As lunatik_load_string(); a chunk that was loaded before may not be compiled
 * again. Raises without memory.
 */
int lunatik_chunk_load(lua_State *L, const char *code, size_t len, const char *name);

#endif
