/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A share of a CPU: how much of it callbacks may have that run below the scheduler's
 * sight. What they took is a debt that the passing of time pays off; while it is too
 * large they have to rest.
 */
#ifndef LUNATIK_SHARE_H
#define LUNATIK_SHARE_H

#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/types.h>

#include "clock.h"

struct lunatik_net;

/* How large a debt may be (microseconds) before who has it rests. */
#define LUNATIK_SHARE_BURST	10000

/* Of one CPU, and used there only. All are lunatik_clock()'s ticks. BH disabled. */
struct lunatik_share {
	u64 paid_off;	/* when the debt will be, if nothing more is taken */
};

/* debt: what a run that began then took, and how long nothing shall run for it afterwards. */
static inline void lunatik_share_take(struct lunatik_share *share, u64 begin, u64 debt)
{
	share->paid_off = max(share->paid_off, begin) + debt;
}

/* Until when who has the share rests; it does not if that has passed. */
static inline u64 lunatik_share_rest(const struct lunatik_share *share)
{
	u64 burst = lunatik_clock_of_us(LUNATIK_SHARE_BURST);

	return share->paid_off > burst ? share->paid_off - burst : 0;
}

/*
 * Hooks have three quarters of each CPU's time, those of a namespace together: no
 * namespace can use up another's. Their time is charged in steps of so much (ticks).
 */
extern u64 lunatik_share_step;

/* Until when hooks of some namespace may have to rest. */
DECLARE_PER_CPU(u64, lunatik_share_rests);

/* Charges the namespace for that much of this CPU's time up to now. BH disabled. */
void lunatik_share_charge(struct lunatik_net *lnet, u64 ticks);

/* Whether its hooks have to rest. BH disabled. */
bool lunatik_share_used_up(const struct lunatik_net *lnet, u64 now);

void lunatik_share_init(void);

#endif
