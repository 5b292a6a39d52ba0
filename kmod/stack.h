/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is left of the kernel's stack, which scripts share with what they call.
 * The last LUNATIK_STACK_MARGIN bytes are never used (tests/tests/margins.rs);
 * above them are the frames of what cannot be stopped on its way.
 */
#ifndef LUNATIK_STACK_H
#define LUNATIK_STACK_H

#include <linux/gfp.h>
#include <linux/percpu.h>
#include <linux/sched/task_stack.h>
#include <linux/sizes.h>

#include "lua/guard.h"

/*
 * Where frames are larger, as with KASAN, so is the stack; and KASAN's own frames,
 * which keep a backtrace of each allocation, are the largest.
 */
#define LUNATIK_FRAMES		(THREAD_SIZE / (IS_ENABLED(CONFIG_KASAN) ? SZ_8K : SZ_16K))

#define LUNATIK_STACK_MARGIN	2048

/*
 * All are bytes of stack left. With less than
 *   RECLAIM	memory is taken without asking reclaim for it, which goes deep;
 *   SOFT	a script's call, or a library function with a large frame, is an
 *		error, "C stack overflow";
 *   TEXT	that error has no position, for there is no room to make the text;
 *   KERNEL	nothing is sent or logged;
 *   HANDLER	that error has no message handler, which would only reach
 *   HARD	where what handles the error is one, too;
 *   ALLOC	there is no memory. The allocator's own way is the longest.
 */
#define LUNATIK_STACK(bytes)	(LUNATIK_STACK_MARGIN + LUNATIK_FRAMES * (bytes))
#define LUNATIK_STACK_RECLAIM	LUNATIK_STACK(6144)
#define LUNATIK_STACK_SOFT	LUNATIK_STACK(3072)
#define LUNATIK_STACK_TEXT	LUNATIK_STACK(2752)
#define LUNATIK_STACK_KERNEL	LUNATIK_STACK(2560)
#define LUNATIK_STACK_HANDLER	LUNATIK_STACK(2496)
#define LUNATIK_STACK_HARD	LUNATIK_STACK(2240)
#define LUNATIK_STACK_ALLOC	LUNATIK_STACK(1408)

#ifdef CONFIG_UML
/* User mode's are aligned. */
static inline unsigned long lunatik_stack_end_irq(unsigned long sp)
{
	return (sp & ~(THREAD_SIZE - 1)) + sizeof(struct thread_info);
}
#else
/*
 * On an interrupt stack a further interrupt comes on top, where on a task's it goes
 * to the interrupt stack. It is the last, for it cannot be interrupted.
 */
#define LUNATIK_INTERRUPT	2048

/* The lowest address of this CPU's interrupt stack, once it is known: it stays there. */
DECLARE_PER_CPU(unsigned long, lunatik_irq_stack);
unsigned long lunatik_stack_find(unsigned long sp);

/* For the next one: the stack is not the task's. */
static __always_inline unsigned long lunatik_stack_end_irq(unsigned long sp)
{
	unsigned long end = this_cpu_read(lunatik_irq_stack);

	if (unlikely(sp - end >= IRQ_STACK_SIZE))
		return lunatik_stack_find(sp);
	return end + LUNATIK_INTERRUPT;
}
#endif

static __always_inline unsigned long lunatik_stack_pointer(void)
{
#ifdef CONFIG_ARCH_HAS_CURRENT_STACK_POINTER
	/* For which no frame pointer has to be made. */
	return current_stack_pointer;
#else
	return (unsigned long)__builtin_frame_address(0);
#endif
}

/* The lowest address of the stack that the caller runs on. BH disabled. */
static __always_inline unsigned long lunatik_stack_end(void)
{
	unsigned long sp = lunatik_stack_pointer();
	unsigned long end = (unsigned long)end_of_stack(current);

	return likely(sp - end < THREAD_SIZE) ? end : lunatik_stack_end_irq(sp);
}

/* Of who runs nothing. */
extern const struct lunatik_guard lunatik_guard_none;

/* Outside of runs there is always enough. */
static __always_inline size_t lunatik_stack_left(const struct lunatik_guard *guard)
{
	return lunatik_stack_pointer() - guard->stack_end;
}

/* No OOM killer: a script that cannot have memory gets an error. */
#define LUNATIK_GFP_KERNEL	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* How to allocate on behalf of a script: charged to who runs it, without warnings. */
static __always_inline gfp_t lunatik_gfp(const struct lunatik_guard *guard)
{
	if (guard->atomic)
		return GFP_ATOMIC | __GFP_ACCOUNT | __GFP_NOWARN;
	if (lunatik_stack_left(guard) < LUNATIK_STACK_RECLAIM)
		return (GFP_NOWAIT & ~__GFP_RECLAIM) | __GFP_ACCOUNT | __GFP_NOWARN;
	return LUNATIK_GFP_KERNEL;
}

#endif
