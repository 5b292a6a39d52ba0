// SPDX-License-Identifier: GPL-2.0-only
#include <linux/align.h>
#include <linux/mm.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "heap.h"
#include "lua/lunatik_lua.h"
#include "params.h"
#include "netns.h"

/* Give memory back to the namespace when more than this is unused. */
#define HEAP_SLACK	(8 * LUNATIK_CHARGE_STEP)

/* Reclaim has frames of its own: with less stack than this it is not asked. */
#define RECLAIM_STACK	8192

static bool net_charge(struct lunatik_net *lnet, u32 bytes)
{
	if (atomic64_add_return(bytes, &lnet->charged) <= lunatik_max_total_alloc())
		return true;
	atomic64_sub(bytes, &lnet->charged);
	return false;
}

void lunatik_heap_init(struct lunatik_heap *heap, struct lunatik_net *lnet, u32 max)
{
	heap->lnet = lnet;
	heap->max = max;
	heap->curr = 0;
	heap->peak = 0;
	heap->charged = 0;
}

void lunatik_heap_uninit(struct lunatik_heap *heap)
{
	WARN_ON_ONCE(heap->curr);
	atomic64_sub(heap->charged, &heap->lnet->charged);
}

bool lunatik_heap_charge(struct lunatik_heap *heap, size_t size)
{
	u32 curr;

	if (size > heap->max || heap->curr > heap->max - size)
		return false;
	curr = heap->curr + size;
	if (curr > heap->charged) {
		u32 more = ALIGN(curr, LUNATIK_CHARGE_STEP) - heap->charged;

		if (!net_charge(heap->lnet, more))
			return false;
		heap->charged += more;
	}
	WRITE_ONCE(heap->curr, curr);
	if (curr > heap->peak)
		WRITE_ONCE(heap->peak, curr);
	return true;
}

void lunatik_heap_uncharge(struct lunatik_heap *heap, size_t size)
{
	u32 curr = heap->curr - size;

	WRITE_ONCE(heap->curr, curr);
	if (heap->charged - curr > HEAP_SLACK) {
		u32 keep = ALIGN(curr, LUNATIK_CHARGE_STEP);

		atomic64_sub(heap->charged - keep, &heap->lnet->charged);
		heap->charged = keep;
	}
}

static void *alloc(size_t size)
{
	/* No OOM killer: a script that cannot have memory gets an error. */
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;

	if ((unsigned long)__builtin_frame_address(0) <
	    (unsigned long)end_of_stack(current) + RECLAIM_STACK)
		gfp = (GFP_NOWAIT & ~__GFP_RECLAIM) | __GFP_ACCOUNT | __GFP_NOWARN;
	if (size <= KMALLOC_MAX_CACHE_SIZE)
		return kmalloc(size, gfp);
	return kvmalloc(size, gfp);
}

void *lunatik_heap_alloc(struct lunatik_heap *heap, size_t size)
{
	void *ptr;

	if (!lunatik_heap_charge(heap, size))
		return NULL;
	ptr = alloc(size);
	if (!ptr)
		lunatik_heap_uncharge(heap, size);
	return ptr;
}

void lunatik_heap_free(struct lunatik_heap *heap, void *ptr, size_t size)
{
	kvfree(ptr);
	lunatik_heap_uncharge(heap, size);
}

static bool same_bucket(size_t a, size_t b)
{
	return a <= KMALLOC_MAX_CACHE_SIZE && b <= KMALLOC_MAX_CACHE_SIZE &&
	       kmalloc_size_roundup(a) == kmalloc_size_roundup(b);
}

static void *resize(struct lunatik_heap *heap, void *ptr, size_t osize, size_t nsize)
{
	void *new;

	if (nsize > osize && !lunatik_heap_charge(heap, nsize - osize))
		return NULL;
	if (same_bucket(osize, nsize)) {
		/* Within its bucket only the allocator's own notes of the size change. */
		new = krealloc(ptr, nsize, GFP_NOWAIT | __GFP_NOWARN);
	} else {
		new = alloc(nsize);
		if (new) {
			memcpy(new, ptr, min(osize, nsize));
			kvfree(ptr);
		}
	}
	if (nsize < osize) {
		/* Lua takes it for granted that a block can shrink. */
		lunatik_heap_uncharge(heap, osize - nsize);
		return new ?: ptr;
	}
	if (!new)
		lunatik_heap_uncharge(heap, nsize - osize);
	return new;
}

void *lunatik_heap_lua_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
	struct lunatik_heap *heap = ud;

	if (!ptr) {
		ptr = nsize ? lunatik_heap_alloc(heap, nsize) : NULL;
		/* osize is the type of object; a thread's extra space is read before it is set. */
		if (ptr && osize == LUA_TTHREAD)
			memset(ptr, 0, nsize);
		return ptr;
	}
	if (nsize)
		return resize(heap, ptr, osize, nsize);
	lunatik_heap_free(heap, ptr, osize);
	return NULL;
}
