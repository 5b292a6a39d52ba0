// SPDX-License-Identifier: GPL-2.0-only
#include <linux/align.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "heap.h"
#include "lua/lunatik_lua.h"
#include "netns.h"
#include "stack.h"

/* Give memory back to the namespace when more than this is unused. */
#define SLACK		(8 * LUNATIK_CHARGE_STEP)

/*
 * Small blocks come in the sizes of kmalloc's caches. Those that Lua frees are
 * kept, up to a bound, for the next of their size: a chunk that is compiled, run
 * and forgotten makes and frees a dozen, and many kernels clear what they allocate.
 * Not under KASAN, which is to see every use of a block that was freed.
 */
#define TINY_MAX	256
#define SMALL_MAX	2048
#define KEEP_MAX	8192
#define KEEPS		(!IS_ENABLED(CONFIG_KASAN))

static const u16 class_size[LUNATIK_HEAP_CLASSES] = {
	16, 32, 64, 96, 128, 192, TINY_MAX, 512, 1024, SMALL_MAX,
};

static unsigned int class_of(size_t size)
{
	/* by (size - 1) / 16 */
	static const u8 classes[TINY_MAX / 16] = { 0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6 };

	if (size > TINY_MAX)
		return 7 + (size > 512) + (size > 1024);
	return classes[(size - 1) / 16];
}

/* A kept block of this class; no longer held. */
static __always_inline void *take_kept(struct lunatik_heap *heap, unsigned int class)
{
	void *block = heap->free[class];

	heap->free[class] = *(void **)block;
	heap->kept -= class_size[class];
	WRITE_ONCE(heap->held, heap->held - class_size[class]);
	return block;
}

/* Gives back the small blocks that are kept. */
static void trim(struct lunatik_heap *heap)
{
	unsigned int class;

	for (class = 0; class < LUNATIK_HEAP_CLASSES; class++)
		while (heap->free[class])
			kvfree(take_kept(heap, class));
}

void lunatik_heap_init(struct lunatik_heap *heap, struct lunatik_net *lnet,
		       const struct lunatik_guard *guard, u32 max)
{
	memset(heap, 0, sizeof(*heap));
	heap->lnet = lnet;
	heap->guard = guard;
	heap->max = max;
}

void lunatik_heap_uninit(struct lunatik_heap *heap)
{
	trim(heap);
	WARN_ON_ONCE(heap->held);
	lunatik_netns_uncharge(heap->lnet, heap->charged);
}

static __always_inline void set_held(struct lunatik_heap *heap, u32 held)
{
	WRITE_ONCE(heap->held, held);
	if (held > heap->peak)
		WRITE_ONCE(heap->peak, held);
}

static bool fits(const struct lunatik_heap *heap, size_t size)
{
	return size <= heap->max && heap->held <= heap->max - size;
}

static void set_charged(struct lunatik_heap *heap, u32 charged)
{
	heap->charged = charged;
	heap->room = min(charged, heap->max);
}

static noinline bool charge_more(struct lunatik_heap *heap, size_t size)
{
	u32 charged;

	heap->lacked_stack = false;
	if (!fits(heap, size)) {
		trim(heap);
		if (!fits(heap, size))
			return false;
	}
	charged = ALIGN(heap->held + size, LUNATIK_CHARGE_STEP);
	if (charged > heap->charged) {
		if (!lunatik_netns_charge(heap->lnet, charged - heap->charged))
			return false;
		set_charged(heap, charged);
	}
	set_held(heap, heap->held + size);
	return true;
}

static __always_inline bool charge(struct lunatik_heap *heap, size_t size)
{
	if (unlikely(size > heap->room - heap->held))
		return charge_more(heap, size);
	set_held(heap, heap->held + size);
	return true;
}

bool lunatik_heap_charge(struct lunatik_heap *heap, size_t size)
{
	return charge(heap, size);
}

static noinline void uncharge_slack(struct lunatik_heap *heap)
{
	u32 keep = ALIGN(heap->held, LUNATIK_CHARGE_STEP);

	lunatik_netns_uncharge(heap->lnet, heap->charged - keep);
	set_charged(heap, keep);
}

static __always_inline void uncharge(struct lunatik_heap *heap, size_t size)
{
	WRITE_ONCE(heap->held, heap->held - size);
	if (unlikely(heap->charged - heap->held > SLACK))
		uncharge_slack(heap);
}

void lunatik_heap_uncharge(struct lunatik_heap *heap, size_t size)
{
	uncharge(heap, size);
}

/* Whether a block that is no longer held has been kept, and so is held again. */
static __always_inline bool keep(struct lunatik_heap *heap, void *block, unsigned int class)
{
	u32 size = class_size[class];

	if (heap->kept + size > KEEP_MAX || heap->held + size > heap->room)
		return false;
	*(void **)block = heap->free[class];
	heap->free[class] = block;
	heap->kept += size;
	set_held(heap, heap->held + size);
	return true;
}

static void *alloc(struct lunatik_heap *heap, size_t size)
{
	gfp_t gfp = lunatik_gfp(heap->guard);

	heap->lacked_stack = lunatik_stack_left(heap->guard) < LUNATIK_STACK_ALLOC;
	if (unlikely(heap->lacked_stack))
		return NULL;
	if (KEEPS && size <= SMALL_MAX)
		size = class_size[class_of(size)];
	if (size <= KMALLOC_MAX_CACHE_SIZE)
		return kmalloc(size, gfp);
	return kvmalloc(size, gfp);
}

static bool have_kept(const struct lunatik_heap *heap, size_t size)
{
	return KEEPS && size <= SMALL_MAX && heap->free[class_of(size)];
}

void *lunatik_heap_alloc(struct lunatik_heap *heap, size_t size)
{
	void *ptr;

	if (have_kept(heap, size)) {
		ptr = take_kept(heap, class_of(size));
		/* The whole block was held a moment ago: this fits. */
		WRITE_ONCE(heap->held, heap->held + size);
		return ptr;
	}
	if (!charge(heap, size))
		return NULL;
	ptr = alloc(heap, size);
	if (!ptr)
		uncharge(heap, size);
	return ptr;
}

static __always_inline bool in_image(const struct lunatik_heap *heap, const void *ptr)
{
	return (size_t)((const char *)ptr - heap->image) < heap->image_size;
}

/* Disposes of a block that is no longer held. */
static void release(struct lunatik_heap *heap, void *ptr, size_t size)
{
	if (!KEEPS || size > SMALL_MAX || !keep(heap, ptr, class_of(size)))
		kvfree(ptr);
}

void lunatik_heap_free(struct lunatik_heap *heap, void *ptr, size_t size)
{
	if (in_image(heap, ptr))
		return;
	uncharge(heap, size);
	release(heap, ptr, size);
}

/* Whether a block of one size has room for the other, and is no larger than needed. */
static bool same_block(size_t a, size_t b)
{
	return a == b || (KEEPS && a <= SMALL_MAX && b <= SMALL_MAX && class_of(a) == class_of(b));
}

static void *grow(struct lunatik_heap *heap, void *ptr, size_t osize, size_t nsize)
{
	void *new;

	if (same_block(osize, nsize) && !in_image(heap, ptr))
		return charge(heap, nsize - osize) ? ptr : NULL;
	new = lunatik_heap_alloc(heap, nsize);
	if (!new)
		return NULL;
	memcpy(new, ptr, osize);
	lunatik_heap_free(heap, ptr, osize);
	return new;
}

static void *shrink(struct lunatik_heap *heap, void *ptr, size_t osize, size_t nsize)
{
	void *new;

	if (in_image(heap, ptr))
		return ptr;
	uncharge(heap, osize - nsize);
	if (same_block(osize, nsize))
		return ptr;
	/* Both blocks exist for a moment, but the cap is no reason not to shrink. */
	new = have_kept(heap, nsize) ? take_kept(heap, class_of(nsize)) : alloc(heap, nsize);
	if (!new)	/* Lua takes it for granted that this cannot fail. */
		return ptr;
	memcpy(new, ptr, nsize);
	release(heap, ptr, osize);
	return new;
}

void *lunatik_heap_lua_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
	struct lunatik_heap *heap = ud;

	if (!ptr)
		return nsize ? lunatik_heap_alloc(heap, nsize) : NULL;
	if (nsize > osize)
		return grow(heap, ptr, osize, nsize);
	if (nsize)
		return shrink(heap, ptr, osize, nsize);
	lunatik_heap_free(heap, ptr, osize);
	return NULL;
}
