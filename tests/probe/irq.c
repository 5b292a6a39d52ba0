// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/lunatik_irq_stack, for tests: the same for the stacks that interrupts and
 * softirqs run on, one of each CPU. Reading tells the least of all.
 */
#include <linux/compiler.h>
#include <linux/cpu.h>
#include <linux/init.h>
#include <linux/irq_work.h>
#include <linux/minmax.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/workqueue.h>
#include <asm/unwind.h>

#include "probe.h"

/* Bytes below a frame that are left alone: its own calls. */
#define OWN	512

struct look {
	struct irq_work work;
	bool forget;
	size_t left;
};

/* The lowest address of the stack that an interrupt runs on. */
static unsigned long *bottom(void)
{
	struct unwind_state unwind;

	unwind_start(&unwind, current, NULL, NULL);
	return unwind.stack_info.type == STACK_TYPE_IRQ ? unwind.stack_info.begin : NULL;
}

/* An interrupt, so nothing else uses what is below. */
static noinline void look(struct irq_work *work)
{
	struct look *look = container_of(work, struct look, work);
	unsigned long *begin = bottom(), *word, *top = __builtin_frame_address(0) - OWN;

	look->left = 0;
	if (!begin)
		return;
	for (word = begin; word < top && !READ_ONCE(*word); word++)
		;
	look->left = (word - begin) * sizeof(*word);
	if (look->forget)
		for (word = begin; word < top; word++)
			WRITE_ONCE(*word, 0);
}

/*
 * On the CPU. It comes at once, and on the stack of interrupts, as it would not if it
 * came while the CPU is in user mode.
 */
static long ask(void *work)
{
	irq_work_queue(work);
	irq_work_sync(work);
	return 0;
}

static size_t look_at_all(bool forget)
{
	size_t least = SIZE_MAX;
	int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu) {
		struct look one = { .work = IRQ_WORK_INIT_HARD(look), .forget = forget };

		work_on_cpu(cpu, ask, &one.work);
		least = min(least, one.left);
	}
	cpus_read_unlock();
	return least;
}

static int show(struct seq_file *file, void *data)
{
	seq_printf(file, "%zu\n", look_at_all(false));
	return 0;
}

static ssize_t irq_write(struct file *file, const char __user *text, size_t len, loff_t *pos)
{
	look_at_all(true);
	return len;
}

static int irq_open(struct inode *inode, struct file *file)
{
	return single_open(file, show, NULL);
}

static const struct proc_ops irq_ops = {
	.proc_open	= irq_open,
	.proc_read	= seq_read,
	.proc_write	= irq_write,
	.proc_lseek	= seq_lseek,
	.proc_release	= single_release,
};

int __init probe_irq_init(void)
{
	return proc_create("lunatik_irq_stack", 0600, NULL, &irq_ops) ? 0 : -ENOMEM;
}

void probe_irq_exit(void)
{
	remove_proc_entry("lunatik_irq_stack", NULL);
}
