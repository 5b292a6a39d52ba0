/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_SCHED_CLOCK_H
#define HOST_LINUX_SCHED_CLOCK_H

#include <linux/ktime.h>

#define sched_clock()	ktime_get_ns()

#endif
