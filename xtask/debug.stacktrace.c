// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stack traces of the debug kernel, in place of those of user-mode Linux.
 *
 * The checkers remember who allocated, freed or locked something by a stack
 * trace, taken thousands of times a second. The kernel's own look up every word
 * of the stack; these follow the frame pointers.
 */
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/stacktrace.h>
#include <asm/sections.h>
#include <asm/stacktrace.h>

/*
 * Recursion has as many different traces as it is deep, and what they are kept in
 * (lib/stackdepot.c) has room for 128 MiB of them, ever.
 */
#define MOST_FRAMES 16

static bool is_code(unsigned long address)
{
	/* Modules are in vmalloc's range. */
	return core_kernel_text(address) || is_vmalloc_addr((void *)address);
}

/*
 * Frame by frame, up to the end of the stack or to code that keeps no frames. The
 * stack is read without asking the checkers, which are who wants to know.
 */
void save_stack_trace_tsk(struct task_struct *task, struct stack_trace *trace)
{
	struct pt_regs *fault = task->thread.segv_regs;
	unsigned long frame = get_frame_pointer(task, fault);
	unsigned long low = (unsigned long)get_stack_pointer(task, fault);
	unsigned long end = ALIGN(low + 1, THREAD_SIZE) - sizeof(struct stack_frame);
	unsigned int most = min(trace->max_entries, MOST_FRAMES);

	while (frame >= low && frame <= end && IS_ALIGNED(frame, sizeof(long)) &&
	       trace->nr_entries < most) {
		const struct stack_frame *at = (const struct stack_frame *)frame;
		unsigned long address = READ_ONCE_NOCHECK(at->return_address);

		if (!is_code(address))
			break;
		if (trace->skip)
			trace->skip--;
		else
			trace->entries[trace->nr_entries++] = address;
		low = frame + sizeof(*at);
		frame = (unsigned long)READ_ONCE_NOCHECK(at->next_frame);
	}
}
EXPORT_SYMBOL_GPL(save_stack_trace_tsk);

void save_stack_trace(struct stack_trace *trace)
{
	save_stack_trace_tsk(current, trace);
}
EXPORT_SYMBOL_GPL(save_stack_trace);
