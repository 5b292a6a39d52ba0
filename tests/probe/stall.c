// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/lunatik_stall, for tests: while it is open, an interrupt comes to each CPU every
 * few milliseconds. Reading tells by how many microseconds the latest of them was late.
 * Softirqs and tasks cannot delay it: the CPU itself stood still, as one of a guest does
 * whose host gives the time to others.
 */
#include <linux/cpu.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/init.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#include "probe.h"

#define PERIOD	(5 * NSEC_PER_MSEC)

struct watch {
	struct hrtimer timer;
	s64 latest;	/* ns */
};

static enum hrtimer_restart tick(struct hrtimer *timer)
{
	struct watch *watch = container_of(timer, struct watch, timer);
	s64 late = ktime_get() - hrtimer_get_expires(timer);

	WRITE_ONCE(watch->latest, max(watch->latest, late));
	hrtimer_forward_now(timer, PERIOD);
	return HRTIMER_RESTART;
}

static void start(void *watches)
{
	struct watch *watch = this_cpu_ptr(watches);

	hrtimer_start(&watch->timer, PERIOD, HRTIMER_MODE_REL_PINNED_HARD);
}

static int stall_open(struct inode *inode, struct file *file)
{
	struct watch __percpu *watches = alloc_percpu(struct watch);
	int cpu;

	if (!watches)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		struct watch *watch = per_cpu_ptr(watches, cpu);

		hrtimer_init(&watch->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
		watch->timer.function = tick;
	}
	on_each_cpu(start, watches, true);
	file->private_data = watches;
	return 0;
}

static ssize_t stall_read(struct file *file, char __user *text, size_t len, loff_t *pos)
{
	struct watch __percpu *watches = file->private_data;
	s64 latest = 0;
	char line[24];
	int cpu, n;

	for_each_possible_cpu(cpu)
		latest = max(latest, READ_ONCE(per_cpu_ptr(watches, cpu)->latest));
	n = scnprintf(line, sizeof(line), "%lld\n", latest / (s64)NSEC_PER_USEC);
	return simple_read_from_buffer(text, len, pos, line, n);
}

static int stall_release(struct inode *inode, struct file *file)
{
	struct watch __percpu *watches = file->private_data;
	int cpu;

	for_each_possible_cpu(cpu)
		hrtimer_cancel(&per_cpu_ptr(watches, cpu)->timer);
	free_percpu(watches);
	return 0;
}

static const struct proc_ops stall_ops = {
	.proc_open	= stall_open,
	.proc_read	= stall_read,
	.proc_lseek	= default_llseek,
	.proc_release	= stall_release,
};

int __init probe_stall_init(void)
{
	return proc_create("lunatik_stall", 0600, NULL, &stall_ops) ? 0 : -ENOMEM;
}

void probe_stall_exit(void)
{
	remove_proc_entry("lunatik_stall", NULL);
}
