/* SPDX-License-Identifier: GPL-2.0-only */
/* What a test decides of the kernel. */
#ifndef HOST_KERNEL_H
#define HOST_KERNEL_H

#include <linux/types.h>

/* Counted over all allocations. */
struct host_memory {
	u64 blocks;		/* now */
	u64 bytes;		/* now, as asked for */
	u64 allocations;	/* so far */
	u64 fail_first;		/* the numbers of allocations that fail */
	u64 fail_last;
	u64 tick_at;		/* in this allocation time is up, and an interrupt tells */
};

extern struct host_memory host_memory;

/* The nth allocation from now (1 is the next) fails, and `more` after it. */
void host_fail(u64 nth, u64 more);
void host_fail_none(void);

extern u64 host_now;		/* ns, CLOCK_MONOTONIC */
extern u64 host_real_now;	/* ns since the epoch */

/* Gives the task `bytes` of stack from here on. */
void host_stack(unsigned long bytes);

/* A timer interrupt, if a timer is started. */
void host_tick(void);

/* As genl does before an operation: the attributes, one by one. */
struct nlattr;
struct nla_policy;
bool host_validate(const struct nlattr *attr, int len, const struct nla_policy *policy, int max);

#endif
