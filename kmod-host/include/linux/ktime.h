/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_KTIME_H
#define HOST_LINUX_KTIME_H

#include <linux/kernel.h>

#define NSEC_PER_USEC	1000L
#define NSEC_PER_MSEC	1000000L
#define NSEC_PER_SEC	1000000000L

typedef s64 ktime_t;

u64 ktime_get_ns(void);
u64 ktime_get_real_ns(void);

static inline ktime_t ns_to_ktime(u64 ns)
{
	return ns;
}

#endif
