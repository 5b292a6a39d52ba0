/* SPDX-License-Identifier: GPL-2.0-only */
/* What the host allows: the module's parameters. */
#ifndef LUNATIK_PARAMS_H
#define LUNATIK_PARAMS_H

#include <linux/types.h>

struct net;

u32 lunatik_max_states(void);		/* states of one namespace */
u64 lunatik_max_total_alloc(void);	/* bytes of one namespace's states */
u32 lunatik_max_alloc(void);		/* ceiling of a state's MAX_ALLOC, bytes */
u32 lunatik_timeout(void);		/* default deadline, microseconds */
u32 lunatik_max_timeout(void);		/* its ceiling, microseconds */
u32 lunatik_softirq_timeout(void);	/* the same for what packets wait for */
u32 lunatik_max_softirq_timeout(void);
bool lunatik_netns_allowed(const struct net *net);

#define LUNATIK_DEFAULT_ALLOC	(1U << 20)

#endif
