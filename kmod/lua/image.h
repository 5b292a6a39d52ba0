/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The image of a fresh state.
 *
 * All fresh states of a namespace are alike, so one is made for the first of them,
 * and each is a copy of it with its pointers moved: one block of memory for all
 * that is small, which is free only when the state is, whatever Lua frees of it,
 * and a few for what is large.
 *
 * The short strings that a fresh state knows, names mostly, are not in the copy
 * but shared by all copies. They are fixed: no state's collector ever writes to
 * them or frees them. In the string table of each state they end the chains, so
 * that a chain changes before them only.
 *
 * Copies hash with one seed, which the order of pairs() tells to who looks long
 * enough, and with which strings can be chosen that hash alike. Therefore one
 * namespace's image is no other's.
 */
#ifndef LUNATIK_IMAGE_H
#define LUNATIK_IMAGE_H

#include <linux/types.h>

#include "lua.h"

struct lunatik_image;

/* Makes the image of a state in which `open` has been called. May sleep. NULL without memory. */
struct lunatik_image *lunatik_image_make(lua_CFunction open, unsigned int seed);

/* There are no copies any more. It may be NULL. */
void lunatik_image_free(struct lunatik_image *image);

/* Bytes of the block of all that is small */
size_t lunatik_image_size(const struct lunatik_image *image);

/*
 * Makes a state of a block of that size and of what the allocator gives, which will
 * be asked to free what lies in that block, too. NULL without memory.
 */
lua_State *lunatik_image_copy(const struct lunatik_image *image, void *block, lua_Alloc alloc,
			      void *ud, struct lunatik_guard *guard);

#endif
