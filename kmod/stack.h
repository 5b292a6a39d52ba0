/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is left of the kernel's stack, which scripts share with what they call.
 * A script's own calls end at LUNATIK_STACK_SOFT; below that are the frames of a
 * library function, of an error's text and of what the kernel does for them.
 */
#ifndef LUNATIK_STACK_H
#define LUNATIK_STACK_H

#include <linux/gfp.h>
#include <linux/kconfig.h>
#include <linux/sched/task_stack.h>

/* Frames are larger where the compiler checks memory. */
#define LUNATIK_FRAMES		(IS_ENABLED(CONFIG_KASAN) ? 2 : 1)

/* Bytes of stack left when the script gets an error, and at the least. */
#define LUNATIK_STACK_SOFT	(LUNATIK_FRAMES * 5120)
#define LUNATIK_STACK_HARD	(LUNATIK_FRAMES * 3584)

/* Reclaim has frames of its own: with less stack than this it is not asked. */
#define LUNATIK_STACK_RECLAIM	(LUNATIK_FRAMES * 8192)

/* How to allocate on behalf of a script: charged to who runs it, without warnings. */
static __always_inline gfp_t lunatik_gfp(void)
{
	unsigned long here = (unsigned long)__builtin_frame_address(0);

	if (here < (unsigned long)end_of_stack(current) + LUNATIK_STACK_RECLAIM)
		return (GFP_NOWAIT & ~__GFP_RECLAIM) | __GFP_ACCOUNT | __GFP_NOWARN;
	/* No OOM killer: a script that cannot have memory gets an error. */
	return GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
}

#endif
