/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_SCHED_H
#define HOST_LINUX_SCHED_H

#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/list.h>

#define THREAD_SIZE	16384	/* as if: what a run has of a stack is up to host_stack() */

struct task_struct {
	unsigned long stack;	/* its lowest address */
	bool killed;
	bool resched;
};

extern struct task_struct host_task;
#define current			(&host_task)

#define test_tsk_need_resched(task)	((task)->resched)
#define cond_resched()			((void)(current->resched = false))

#endif
