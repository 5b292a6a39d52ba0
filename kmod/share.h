/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A share of a CPU: how much of it may be taken below the scheduler's sight, with
 * bottom halves disabled. What was taken is a debt that the passing of time pays off;
 * while it is too large, whose it is has to rest. Each CPU's is used there only, with
 * bottom halves disabled, as is all that is here.
 */
#ifndef LUNATIK_SHARE_H
#define LUNATIK_SHARE_H

#include <linux/percpu.h>
#include <linux/types.h>

#include "clock.h"

struct lunatik_net;

struct lunatik_share {
	u64 paid_off;	/* when the debt will be, if nothing more is taken (lunatik_clock()) */
};

/* What a namespace has of a CPU. */
struct lunatik_shares {
	/* Three quarters: functions that packets meet, and packets that wait for one. */
	struct lunatik_share hooks;
	/* Three quarters: requests that packets wait for. */
	struct lunatik_share requests;
	/* A sixteenth that need not wait for other namespaces' timers. */
	struct lunatik_share timers;
};

/* The time of hooks is charged in steps of so much (ticks). */
extern u64 lunatik_share_step;

/* Until when hooks of some namespace may have to rest, or whether one's have to; else 0. */
DECLARE_PER_CPU(u64, lunatik_share_rests);

/* Each charges the namespace for that much of this CPU's time up to now (ticks). */
void lunatik_share_charge_hooks(struct lunatik_net *lnet, u64 ticks);
void lunatik_share_charge_requests(struct lunatik_net *lnet, u64 ticks);
void lunatik_share_charge_timers(struct lunatik_net *lnet, u64 ticks);

/* Whether the namespace's hooks have to rest. For lunatik_share_used_up(). */
bool lunatik_share_hooks_rest(struct lunatik_net *lnet);

/* On this CPU the namespace's hooks rest from one until the other; not nested. */
void lunatik_share_hold_hooks(const struct lunatik_net *lnet);
void lunatik_share_let_hooks(void);

/* The same, asked for each packet. */
static __always_inline bool lunatik_share_used_up(struct lunatik_net *lnet)
{
	return unlikely(this_cpu_read(lunatik_share_rests)) && lunatik_share_hooks_rest(lnet);
}

/* How long its requests, and its timers, have to rest (ticks); 0 if they do not. */
u64 lunatik_share_requests_rest(struct lunatik_net *lnet);
u64 lunatik_share_timers_rest(struct lunatik_net *lnet);

void lunatik_share_init(void);

#endif
