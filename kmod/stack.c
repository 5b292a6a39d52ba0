// SPDX-License-Identifier: GPL-2.0-only
#include <linux/percpu.h>
#include <linux/sched.h>

#include "stack.h"

#ifndef CONFIG_UML
#include <asm/unwind.h>

DEFINE_PER_CPU(unsigned long, lunatik_irq_stack);

unsigned long lunatik_stack_find(unsigned long sp)
{
	struct unwind_state unwind;

	/* Who unwinds a stack has to know its bounds first. */
	unwind_start(&unwind, current, NULL, NULL);
	/* Nothing of ours belongs on any other. */
	if (unwind.stack_info.type != STACK_TYPE_IRQ)
		return sp;
	this_cpu_write(lunatik_irq_stack, (unsigned long)unwind.stack_info.begin);
	return (unsigned long)unwind.stack_info.begin + LUNATIK_INTERRUPT;
}
#endif
