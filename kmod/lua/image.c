// SPDX-License-Identifier: GPL-2.0-only
#include <linux/align.h>
#include <linux/bug.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#define LUA_CORE
#include "lprefix.h"
#include "lua.h"
#include "lgc.h"
#include "lmem.h"
#include "lobject.h"
#include "lstate.h"
#include "lstring.h"

#include "image.h"

/* Buckets of a fresh string table; no table has fewer. */
#define BUCKETS		128

/*
 * Longer blocks are copied to blocks of their own, for Lua may outgrow them. Under
 * KASAN, which is to see every use of a block that was freed, all are.
 */
#define SHORT_MAX	(IS_ENABLED(CONFIG_KASAN) ? 0 : 512)
#define PARTS_MAX	(IS_ENABLED(CONFIG_KASAN) ? 128 : 8)
#define POINTERS_MAX	256

/* What making a state may take, with all that it frees on its way. */
#define ARENA_SIZE	(32 * 1024)
#define BLOCKS_MAX	512

/* What Lua has asked for, as offsets in an arena. */
struct block {
	u32 offset;
	u32 size;	/* 0: freed */
	u32 place;	/* offset in the image, or among the shared strings */
	u8 part;	/* of the image */
	bool string;
};

struct arena {
	char *memory;	/* zero where it is not used, so that padding is alike */
	struct block *blocks;
	u32 used, nblocks;
};

/*
 * To tell what is a pointer, two states are made: where a word differs, it points
 * to the same offset in either arena.
 */
struct pair {
	struct arena a, b;
	struct arena *made;	/* the one being made */
};

/* A block of a copy. The first is of many blocks, and begins with the global_State. */
struct part {
	u32 place;	/* offset in the image */
	u32 size;
};

/* In the image there is an offset in the part that it points to. */
struct pointer {
	u16 word;	/* of the part it is in */
	u8 from, to;	/* parts */
};

struct lunatik_image {
	char *memory;
	struct part parts[PARTS_MAX];
	u32 nparts;
	struct pointer *pointers;
	u32 npointers;
	char *strings;		/* that are shared */
	TString *chains[BUCKETS];	/* of those */
};

/* How the chain of a bucket ends, in a table of any size. */
static TString *shared_chain(const lua_State *L, int bucket)
{
	const struct lunatik_guard *guard = lunatik_guard(L);

	/* The state that an image is made of has none. */
	return guard && guard->image ? guard->image->chains[bucket & (BUCKETS - 1)] : NULL;
}

/* Moves the strings of a bucket's own to where they belong among `size` buckets. */
static void rehash(const lua_State *L, TString **buckets, int bucket, int size)
{
	TString *end = shared_chain(L, bucket), *string = buckets[bucket], *next;

	for (buckets[bucket] = end; string != end; string = next) {
		TString **to = &buckets[lmod(string->hash, size)];

		next = string->u.hnext;
		string->u.hnext = *to;
		*to = string;
	}
}

/* Without memory the table stays as it is. */
void luaS_resize(lua_State *L, int size)
{
	stringtable *table = &G(L)->strt;
	int i, old = table->size;
	TString **buckets;

	if (size < BUCKETS)
		return;
	for (i = size; i < old; i++)
		rehash(L, table->hash, i, size);
	buckets = luaM_reallocvector(L, table->hash, old, size, TString *);
	if (!buckets) {
		for (i = 0; i < size && size < old; i++)
			rehash(L, table->hash, i, old);
		return;
	}
	table->hash = buckets;
	table->size = size;
	for (i = old; i < size; i++)
		buckets[i] = shared_chain(L, i);
	for (i = 0; i < old && old < size; i++)
		rehash(L, buckets, i, size);
}

static struct block *block_at(const struct arena *arena, u32 offset)
{
	u32 low = 0, high = arena->nblocks;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (arena->blocks[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return &arena->blocks[low - 1];
}

/* A lua_Alloc, with the pair that is being made: nothing is used twice. */
static void *arena_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
	struct arena *arena = ((struct pair *)ud)->made;
	struct block *block;
	void *new;

	if (ptr) {
		block = block_at(arena, (char *)ptr - arena->memory);
		if (nsize <= block->size) {
			block->size = nsize;
			return nsize ? ptr : NULL;
		}
	}
	if (!nsize || arena->nblocks == BLOCKS_MAX || nsize >= ARENA_SIZE - arena->used)
		return NULL;
	new = arena->memory + arena->used;
	arena->blocks[arena->nblocks++] = (struct block){
		.offset = arena->used,
		.size = nsize,
		.string = !ptr && osize == LUA_TSTRING,
	};
	/* A pointer to a block's end points to no other. */
	arena->used += ALIGN(nsize + 1, sizeof(u64));
	if (ptr) {
		memcpy(new, ptr, osize);
		block->size = 0;
	}
	return new;
}

/* Takes the short strings out of a list of objects; returns their bytes. */
static size_t take_strings(GCObject **list)
{
	size_t size = 0;

	while (*list) {
		GCObject *object = *list;

		if (object->tt == LUA_VSHRSTR) {
			size += sizestrshr(gco2ts(object)->shrlen);
			*list = object->next;
			object->next = NULL;
			/* Neither white nor black, and old: as luaC_fix() leaves them. */
			object->marked = G_OLD;
		} else {
			list = &object->next;
		}
	}
	return size;
}

/* Leaves a state that owns none of its strings. */
static void shed_strings(lua_State *L)
{
	global_State *g = G(L);
	size_t size;
	StkId slot;

	size = take_strings(&g->allgc) + take_strings(&g->fixedgc);
	g->reallyold = g->old1 = g->survival = g->allgc;
	g->GCtotalbytes -= size;
	g->GCmajorminor -= size;
	luaE_setdebt(g, applygcparam(g, MINORMUL, g->GCmajorminor));
	g->strt.nuse = 0;
	g->strt.hash = luaM_reallocvector(L, g->strt.hash, g->strt.size, BUCKETS, TString *);
	g->strt.size = BUCKETS;
	memset(g->strt.hash, 0, BUCKETS * sizeof(TString *));
	for (slot = L->top.p; slot < L->stack_last.p + EXTRA_STACK; slot++) {
		memset(slot, 0, sizeof(*slot));
		setnilvalue(s2v(slot));
	}
}

static lua_State *make_state(struct pair *pair, struct arena *arena, lua_CFunction open,
			     unsigned int seed, struct lunatik_guard *guard)
{
	lua_State *L;

	arena->memory = kvzalloc(ARENA_SIZE, GFP_KERNEL_ACCOUNT);
	arena->blocks = kvmalloc_array(BLOCKS_MAX, sizeof(*arena->blocks), GFP_KERNEL_ACCOUNT);
	if (!arena->memory || !arena->blocks)
		return NULL;
	pair->made = arena;
	L = lua_newstate(arena_alloc, pair, seed);
	if (!L)
		return NULL;
	*(struct lunatik_guard **)lua_getextraspace(L) = guard;
	lua_gc(L, LUA_GCSTOP);
	lua_pushcfunction(L, open);
	if (lua_pcall(L, 0, 0, 0) != LUA_OK)
		return NULL;
	/* It was false already, but with what the C stack held in its unused part. */
	lua_pushinteger(L, 0);
	lua_pop(L, 1);
	lua_pushboolean(L, false);
	lua_rawseti(L, LUA_REGISTRYINDEX, 1);
	lua_gc(L, LUA_GCRESTART);
	lua_gc(L, LUA_GCGEN);
	shed_strings(L);
	return L;
}

static u32 take_place(struct block *block, u32 *end)
{
	block->place = *end;
	*end += ALIGN(block->size, sizeof(u64));
	return block->size;
}

/* Gives each block its place. */
static bool lay_out(struct lunatik_image *image, struct arena *arena, u32 *size,
		    u32 *strings_size)
{
	u32 i;

	*size = *strings_size = 0;
	for (i = 0; i < arena->nblocks; i++) {
		struct block *block = &arena->blocks[i];

		if (block->string)
			take_place(block, strings_size);
		else if (i == 0 || block->size <= SHORT_MAX)
			take_place(block, size);
	}
	image->parts[0].size = *size;
	image->nparts = 1;
	for (i = 1; i < arena->nblocks; i++) {
		struct block *block = &arena->blocks[i];

		if (block->string || !block->size || block->size <= SHORT_MAX)
			continue;
		if (image->nparts == PARTS_MAX)
			return false;
		block->part = image->nparts++;
		image->parts[block->part].size = take_place(block, size);
		image->parts[block->part].place = block->place;
	}
	return true;
}

static void share_strings(struct lunatik_image *image, const struct arena *arena)
{
	u32 i;

	for (i = 0; i < arena->nblocks; i++) {
		const struct block *block = &arena->blocks[i];
		TString *string, **chain;

		if (!block->string || !block->size)
			continue;
		string = memcpy(image->strings + block->place, arena->memory + block->offset,
				block->size);
		chain = &image->chains[string->hash & (BUCKETS - 1)];
		string->u.hnext = *chain;
		*chain = string;
	}
}

/* A word that is not alike in two states: a pointer. */
static bool put_pointer(struct lunatik_image *image, const struct pair *pair, u64 a, u64 b,
			const struct block *in, u32 done)
{
	u64 *word = (u64 *)(image->memory + in->place + done);
	u64 offset = a - (unsigned long)pair->a.memory;
	const struct block *block;

	if (offset >= pair->a.used || offset != b - (unsigned long)pair->b.memory)
		return false;
	block = block_at(&pair->a, offset);
	offset -= block->offset;
	if (!block->size) {
		*word = 0;	/* Of something that is gone, such as the key of an empty node. */
		return true;
	}
	if (offset > block->size || image->npointers == POINTERS_MAX)
		return false;
	if (block->string) {
		*word = (unsigned long)image->strings + block->place + offset;
		return true;
	}
	*word = block->place - image->parts[block->part].place + offset;
	image->pointers[image->npointers++] = (struct pointer){
		.word = (in->place - image->parts[in->part].place + done) / sizeof(u64),
		.from = in->part,
		.to = block->part,
	};
	return true;
}

static bool put_block(struct lunatik_image *image, const struct pair *pair,
		      const struct block *block)
{
	const char *from_a = pair->a.memory + block->offset;
	const char *from_b = pair->b.memory + block->offset;
	u32 done, n;

	for (done = 0; done < block->size; done += n) {
		u64 a = 0, b = 0;

		n = min_t(u32, block->size - done, sizeof(u64));
		memcpy(&a, from_a + done, n);
		memcpy(&b, from_b + done, n);
		if (a == b)
			memcpy(image->memory + block->place + done, &a, sizeof(a));
		else if (!put_pointer(image, pair, a, b, block, done))
			return false;
	}
	return true;
}

static bool alike(const struct arena *a, const struct arena *b)
{
	u32 i;

	if (a->nblocks != b->nblocks || a->used != b->used)
		return false;
	for (i = 0; i < a->nblocks; i++)
		if (a->blocks[i].offset != b->blocks[i].offset ||
		    a->blocks[i].size != b->blocks[i].size ||
		    a->blocks[i].string != b->blocks[i].string)
			return false;
	return true;
}

static bool put_blocks(struct lunatik_image *image, struct pair *pair, lua_State *a,
		       lua_State *b)
{
	u32 i, size, strings_size;

	if (WARN_ON_ONCE(!alike(&pair->a, &pair->b)) ||
	    WARN_ON_ONCE(!lay_out(image, &pair->a, &size, &strings_size)))
		return false;
	image->memory = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	image->strings = kvzalloc(strings_size, GFP_KERNEL_ACCOUNT);
	image->pointers = kvmalloc_array(POINTERS_MAX, sizeof(*image->pointers),
					 GFP_KERNEL_ACCOUNT);
	if (!image->memory || !image->strings || !image->pointers)
		return false;
	share_strings(image, &pair->a);
	memcpy(G(a)->strt.hash, image->chains, sizeof(image->chains));
	memcpy(G(b)->strt.hash, image->chains, sizeof(image->chains));
	for (i = 0; i < pair->a.nblocks; i++) {
		const struct block *block = &pair->a.blocks[i];

		if (!block->string && WARN_ON_ONCE(!put_block(image, pair, block)))
			return false;
	}
	return true;
}

static void arena_free(struct arena *arena)
{
	kvfree(arena->memory);
	kvfree(arena->blocks);
}

struct lunatik_image *lunatik_image_make(lua_CFunction open, unsigned int seed)
{
	struct lunatik_image *image = kvzalloc(sizeof(*image), GFP_KERNEL_ACCOUNT);
	struct lunatik_guard guard = {};
	struct pair pair = {};
	lua_State *a, *b;
	bool made;

	BUILD_BUG_ON(ARENA_SIZE / sizeof(u64) > U16_MAX + 1);
	if (!image)
		return NULL;
	a = make_state(&pair, &pair.a, open, seed, &guard);
	b = a ? make_state(&pair, &pair.b, open, seed, &guard) : NULL;
	made = b && put_blocks(image, &pair, a, b);
	arena_free(&pair.a);
	arena_free(&pair.b);
	if (!made) {
		lunatik_image_free(image);
		return NULL;
	}
	return image;
}

void lunatik_image_free(struct lunatik_image *image)
{
	if (!image)
		return;
	kvfree(image->memory);
	kvfree(image->strings);
	kvfree(image->pointers);
	kvfree(image);
}

size_t lunatik_image_size(const struct lunatik_image *image)
{
	return image->parts[0].size;
}

lua_State *lunatik_image_copy(const struct lunatik_image *image, void *block, lua_Alloc alloc,
			      void *ud, struct lunatik_guard *guard)
{
	lua_State *L = block + offsetof(global_State, mainth.l);
	u64 *parts[PARTS_MAX] = { block };
	u32 i;

	for (i = 1; i < image->nparts; i++) {
		parts[i] = alloc(ud, NULL, 0, image->parts[i].size);
		if (!parts[i]) {
			while (--i)
				alloc(ud, parts[i], image->parts[i].size, 0);
			return NULL;
		}
	}
	for (i = 0; i < image->nparts; i++)
		memcpy(parts[i], image->memory + image->parts[i].place, image->parts[i].size);
	for (i = 0; i < image->npointers; i++) {
		const struct pointer *pointer = &image->pointers[i];

		parts[pointer->from][pointer->word] += (unsigned long)parts[pointer->to];
	}
	G(L)->frealloc = alloc;
	G(L)->ud = ud;
	guard->image = image;
	*(struct lunatik_guard **)lua_getextraspace(L) = guard;
	return L;
}
