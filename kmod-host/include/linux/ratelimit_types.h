/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_RATELIMIT_TYPES_H
#define HOST_LINUX_RATELIMIT_TYPES_H

#include <linux/kernel.h>

#define HZ	250

struct ratelimit_state {
	int interval, burst, done;
	u64 begin;
};

bool host_ratelimit(struct ratelimit_state *limit);
#define __ratelimit(limit)	host_ratelimit(limit)

#endif
