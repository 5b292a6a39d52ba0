/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_SCHED_TASK_STACK_H
#define HOST_LINUX_SCHED_TASK_STACK_H

#include <linux/sched.h>

#define IRQ_STACK_SIZE	THREAD_SIZE
#define end_of_stack(task)	((unsigned long *)(task)->stack)

#endif
