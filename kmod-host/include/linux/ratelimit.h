/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_RATELIMIT_H
#define HOST_LINUX_RATELIMIT_H

#include <linux/ratelimit_types.h>

#define RATELIMIT_MSG_ON_RELEASE	BIT(0)

static inline void ratelimit_state_init(struct ratelimit_state *limit, int interval, int burst)
{
	*limit = (struct ratelimit_state){ .interval = interval, .burst = burst };
}

#define ratelimit_set_flags(limit, flags)	((void)(limit))

#endif
