/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The image of a fresh state.
 *
 * All fresh states are alike, so one is made when the module is loaded, and each
 * new one is a copy of it with its pointers moved: one block of memory for all
 * that is small, which is free only when the state is, whatever Lua frees of it,
 * and a few for what is large.
 *
 * The short strings that a fresh state knows, names mostly, are not in the copy
 * but shared by all states. They are fixed: no state's collector ever writes to
 * them or frees them. In the string table of each state they end the chains, so
 * that a chain changes before them only. All states hash with one seed, which is
 * made when the module is loaded.
 */
#ifndef LUNATIK_IMAGE_H
#define LUNATIK_IMAGE_H

#include <linux/types.h>

#include "lua.h"

/*
 * Makes the image of a state in which `open` has been called. May sleep. False
 * without memory, and where two such states are not alike.
 */
bool lunatik_image_make(lua_CFunction open, unsigned int seed);
void lunatik_image_drop(void);

/* Bytes of the block of all that is small */
size_t lunatik_image_size(void);

/*
 * Makes a state of a block of that size and of what the allocator gives, which will
 * be asked to free what lies in that block, too. NULL without memory.
 */
lua_State *lunatik_image_copy(void *block, lua_Alloc alloc, void *ud,
			      struct lunatik_guard *guard);

#endif
