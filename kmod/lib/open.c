// SPDX-License-Identifier: GPL-2.0-only
#include <linux/atomic.h>
#include <linux/kernel.h>
#include <linux/random.h>

#include "../lua/chunk.h"
#include "../lua/image.h"
#include "../lua/registry.h"
#include "../netns.h"
#include "../state.h"
#include "lib.h"

/*
 * By how many percent a state grows before young garbage is collected: Lua's own 20
 * are little more than 1 KiB of a small one.
 */
#define MINOR_GROWTH	130

static const luaL_Reg libraries[] = {
	{ LUA_GNAME,		luaopen_base },
	{ LUA_COLIBNAME,	luaopen_coroutine },
	{ LUA_TABLIBNAME,	luaopen_table },
	{ LUA_STRLIBNAME,	luaopen_string },
	{ LUA_UTF8LIBNAME,	luaopen_utf8 },
	{ LUA_MATHLIBNAME,	lunatik_lib_open_math },
};

/* A lua_Alloc for library functions, which collects garbage before it gives up. */
void *lunatik_lib_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
	struct lunatik_replica *replica = container_of(ud, struct lunatik_replica, heap);
	const struct lunatik_guard *guard = &replica->deadline.guard;
	void *new = lunatik_heap_lua_alloc(&replica->heap, ptr, osize, nsize);

	if (new || nsize <= osize || lunatik_stack_left(guard) < LUNATIK_STACK_HARD)
		return new;
	lua_gc(guard->L, LUA_GCCOLLECT);
	return lunatik_heap_lua_alloc(&replica->heap, ptr, osize, nsize);
}

static int open_all(lua_State *L)
{
	int i;

	lunatik_cstack_open(L);
	lunatik_chunk_open(L);
	/* Places in the registry's array */
	for (i = LUNATIK_RIDX_RECEIVER; i <= LUNATIK_RIDX_DATA; i++) {
		lua_pushboolean(L, false);
		lua_rawseti(L, LUA_REGISTRYINDEX, i);
	}
	for (i = 0; i < ARRAY_SIZE(libraries); i++) {
		luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
		lua_pop(L, 1);
	}
	lua_getglobal(L, LUA_STRLIBNAME);
	lua_pushnil(L);
	lua_setfield(L, -2, "dump");
	lua_pop(L, 1);
	lunatik_lib_amend_base(L);
	/* Most runs leave young garbage only: a chunk, its function, their strings. */
	lua_gc(L, LUA_GCPARAM, LUA_GCPMINORMUL, MINOR_GROWTH);
	return 0;
}

/* What the states of a namespace begin as; made by the first. */
static const struct lunatik_image *image_of(struct lunatik_net *lnet)
{
	struct lunatik_image *image = READ_ONCE(lnet->image), *new;

	if (image)
		return image;
	new = lunatik_image_make(open_all, get_random_u32());
	if (!new)
		return NULL;
	image = cmpxchg(&lnet->image, NULL, new);
	if (!image)
		return new;
	lunatik_image_free(new);
	return image;
}

lua_State *lunatik_lib_newstate(struct lunatik_replica *replica)
{
	const struct lunatik_image *image = image_of(replica->state->lnet);
	lua_State *L;
	size_t size;
	void *block;

	if (!image)
		return NULL;
	size = lunatik_image_size(image);
	block = lunatik_heap_alloc(&replica->heap, size);
	if (!block)
		return NULL;
	L = lunatik_image_copy(image, block, lunatik_heap_lua_alloc, &replica->heap,
			       &replica->deadline.guard);
	if (!L) {
		lunatik_heap_free(&replica->heap, block, size);
		return NULL;
	}
	replica->heap.image = block;
	replica->heap.image_size = size;
	return L;
}

void lunatik_lib_closestate(struct lunatik_replica *replica)
{
	void *block = replica->heap.image;
	size_t size = replica->heap.image_size;

	lua_close(replica->L);
	replica->heap.image = NULL;
	replica->heap.image_size = 0;
	lunatik_heap_free(&replica->heap, block, size);
}
