// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/lunatik_stack, for tests: how much of its kernel stack a thread has never
 * used. Reading tells the bytes left at the deepest point since the thread wrote
 * to the file (anything) or, without that, since it began.
 */
#include <linux/compiler.h>
#include <linux/magic.h>
#include <linux/init.h>
#include <linux/proc_fs.h>
#include <linux/sched/task_stack.h>
#include <linux/seq_file.h>

#include "probe.h"

/* Above the mark at its end; new stacks are zeroed. */
static unsigned long *bottom(void)
{
	return end_of_stack(current) + 1;
}

/* The stack is read and written below and above what the compiler knows to be in use. */
static __no_sanitize_address int show(struct seq_file *file, void *data)
{
	unsigned long *word = bottom();

	while (!READ_ONCE_NOCHECK(*word))
		word++;
	seq_printf(file, "%zu\n", (word - end_of_stack(current)) * sizeof(*word));
	return 0;
}

/* Bytes below this function's frame that are left alone: its own calls. */
#define OWN	512

static noinline __no_sanitize_address void forget(void)
{
	unsigned long *word, *top = __builtin_frame_address(0) - OWN;

	for (word = bottom(); word < top; word++)
		WRITE_ONCE(*word, 0);
}

static ssize_t stack_write(struct file *file, const char __user *text, size_t len, loff_t *pos)
{
	forget();
	return len;
}

static int stack_open(struct inode *inode, struct file *file)
{
	return single_open(file, show, NULL);
}

static const struct proc_ops stack_ops = {
	.proc_open	= stack_open,
	.proc_read	= seq_read,
	.proc_write	= stack_write,
	.proc_lseek	= seq_lseek,
	.proc_release	= single_release,
};

int __init probe_stack_init(void)
{
	return proc_create("lunatik_stack", 0600, NULL, &stack_ops) ? 0 : -ENOMEM;
}

void probe_stack_exit(void)
{
	remove_proc_entry("lunatik_stack", NULL);
}
