// SPDX-License-Identifier: GPL-2.0-only
#include <linux/percpu.h>
#include <linux/sched.h>
#ifndef CONFIG_UML
#include <asm/unwind.h>
#endif

#include "stack.h"

#ifndef CONFIG_UML
/*
 * On an interrupt stack a further interrupt comes on top, where on a task's it goes
 * to the interrupt stack. It is the last, for it cannot be interrupted.
 */
#define INTERRUPT	2048

/* The lowest address of this CPU's interrupt stack, once it is known: it stays there. */
static DEFINE_PER_CPU(unsigned long, irq_stack);

unsigned long lunatik_stack_end_irq(unsigned long sp)
{
	unsigned long end = this_cpu_read(irq_stack);
	struct unwind_state unwind;

	if (unlikely(sp - end >= IRQ_STACK_SIZE)) {
		/* Who unwinds a stack has to know its bounds first. */
		unwind_start(&unwind, current, NULL, NULL);
		/* Nothing of ours belongs on any other. */
		if (unwind.stack_info.type != STACK_TYPE_IRQ)
			return sp;
		end = (unsigned long)unwind.stack_info.begin;
		this_cpu_write(irq_stack, end);
	}
	return end + INTERRUPT;
}
#else
/* User mode's are aligned as a task's. */
unsigned long lunatik_stack_end_irq(unsigned long sp)
{
	return (sp & ~(THREAD_SIZE - 1)) + sizeof(struct thread_info);
}
#endif
