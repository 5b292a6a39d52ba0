/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_HEAP_H
#define LUNATIK_HEAP_H

#include <linux/types.h>

struct lunatik_guard;
struct lunatik_net;

/* Memory moves between a namespace's account and a state's in such steps. */
#define LUNATIK_CHARGE_STEP	4096U

/* Classes of small blocks, see heap.c. */
#define LUNATIK_HEAP_CLASSES	10

/*
 * The memory of one replica. Changed by whoever runs the replica or makes or
 * frees it, so never by two at once; read by anyone.
 */
struct lunatik_heap {
	struct lunatik_net *lnet;
	const struct lunatik_guard *guard;	/* of who allocates */
	u32 max;	/* bytes; held never exceeds it */
	u32 held;	/* bytes in use or kept for use */
	u32 kept;	/* bytes of those in `free` */
	u32 peak;
	u32 charged;	/* bytes charged to the namespace, at least held */
	u32 room;	/* held may grow to this without asking: min(charged, max) */
	/*
	 * A block whose parts Lua takes for blocks of its own (lua/image.h). It is held
	 * as a whole, and so are those that Lua frees.
	 */
	char *image;
	u32 image_size;
	bool lacked_stack;	/* memory was last refused for want of C stack */
	void *free[LUNATIK_HEAP_CLASSES];	/* freed small blocks, by class */
};

void lunatik_heap_init(struct lunatik_heap *heap, struct lunatik_net *lnet,
		       const struct lunatik_guard *guard, u32 max);
void lunatik_heap_uninit(struct lunatik_heap *heap);

/* Counts memory that is not allocated here; false when it would exceed a limit. */
bool lunatik_heap_charge(struct lunatik_heap *heap, size_t size);
void lunatik_heap_uncharge(struct lunatik_heap *heap, size_t size);

/* Sleeps only where the guard allows. NULL when the state's cap, the namespace's quota or memory is used up. */
void *lunatik_heap_alloc(struct lunatik_heap *heap, size_t size);
void lunatik_heap_free(struct lunatik_heap *heap, void *ptr, size_t size);

/* A lua_Alloc; heap is its first argument. */
void *lunatik_heap_lua_alloc(void *heap, void *ptr, size_t osize, size_t nsize);

#endif
