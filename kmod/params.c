// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cred.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/time64.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>
#include <uapi/linux/lunatik.h>

#include "params.h"

static unsigned int max_states = 16384;
module_param(max_states, uint, 0644);
MODULE_PARM_DESC(max_states, "states that one network namespace may have (default 16384)");

static unsigned long max_total_alloc = 256UL << 20;
module_param(max_total_alloc, ulong, 0644);
MODULE_PARM_DESC(max_total_alloc,
		 "bytes that the states of one network namespace may use (default 256 MiB)");

static unsigned int max_alloc = 64U << 20;
module_param(max_alloc, uint, 0644);
MODULE_PARM_DESC(max_alloc, "largest memory cap of one state in bytes (default 64 MiB, at most 1 GiB)");

static unsigned int timeout_us = 1000000;
module_param(timeout_us, uint, 0644);
MODULE_PARM_DESC(timeout_us, "default deadline of one run in microseconds (default 1 s)");

static unsigned int max_timeout_us = 10000000;
module_param(max_timeout_us, uint, 0644);
MODULE_PARM_DESC(max_timeout_us, "longest deadline of one run in microseconds (default 10 s, at most 60 s)");

static unsigned int softirq_timeout_us = 10000;
module_param(softirq_timeout_us, uint, 0644);
MODULE_PARM_DESC(softirq_timeout_us,
		 "default deadline of what packets wait for in microseconds (default 10 ms)");

static unsigned int max_softirq_timeout_us = 100000;
module_param(max_softirq_timeout_us, uint, 0644);
MODULE_PARM_DESC(max_softirq_timeout_us,
		 "longest deadline of what packets wait for in microseconds (default 100 ms, at most 1 s)");

static bool allow_user_ns;
module_param(allow_user_ns, bool, 0644);
MODULE_PARM_DESC(allow_user_ns,
		 "serve network namespaces that a non-initial user namespace owns (default no)");

u32 lunatik_max_states(void)
{
	return READ_ONCE(max_states);
}

u64 lunatik_max_total_alloc(void)
{
	return READ_ONCE(max_total_alloc);
}

u32 lunatik_max_alloc(void)
{
	/* Sizes are counted in 32 bits, with room to round up. */
	return clamp_t(u32, READ_ONCE(max_alloc), LUNATIK_MAX_ALLOC_MIN, SZ_1G);
}

u32 lunatik_timeout(void)
{
	return clamp_t(u32, READ_ONCE(timeout_us), 1, lunatik_max_timeout());
}

u32 lunatik_max_timeout(void)
{
	/* Who waits for a run waits uninterruptibly in places. */
	return clamp_t(u32, READ_ONCE(max_timeout_us), 1, 60 * USEC_PER_SEC);
}

u32 lunatik_softirq_timeout(void)
{
	return clamp_t(u32, READ_ONCE(softirq_timeout_us), 1, lunatik_max_softirq_timeout());
}

u32 lunatik_max_softirq_timeout(void)
{
	return clamp_t(u32, READ_ONCE(max_softirq_timeout_us), 1, USEC_PER_SEC);
}

bool lunatik_netns_allowed(const struct net *net)
{
	return net->user_ns == &init_user_ns || READ_ONCE(allow_user_ns);
}
