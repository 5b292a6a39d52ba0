// SPDX-License-Identifier: GPL-2.0-only
#include <linux/init.h>
#include <linux/minmax.h>

#include "netns.h"
#include "share.h"

#define STEP	100	/* microseconds */

/* How large a debt may be (microseconds) before who has it rests. */
#define BURST	10000

/*
 * What a tick costs, in thirds: the debt that it leaves is paid off after so long, and
 * so the share is the inverse.
 */
#define HOOKS_PRICE		4
#define REQUESTS_PRICE		4
#define TIMERS_PRICE		48
#define ALL_TIMERS_PRICE	6

/*
 * No debt is larger (microseconds): the longest run, of a second, at the highest price.
 * One that seems to be was made before the clock went back, as it does when the machine
 * has slept.
 */
#define DEBT_MAX	16000000

u64 lunatik_share_step;
DEFINE_PER_CPU(u64, lunatik_share_rests);
static DEFINE_PER_CPU(const struct lunatik_net *, held);

/*
 * Half of the CPU, that of all namespaces' timers together: they come by themselves, and
 * nothing else would run meanwhile.
 */
static DEFINE_PER_CPU(struct lunatik_share, all_timers);

/* How long it is until then; 0 if it has passed, or can only be of another time. */
static u64 left_until(u64 then, u64 now)
{
	u64 left = then - now;

	return left <= lunatik_clock_of_us(DEBT_MAX) ? left : 0;
}

static void charge(struct lunatik_share *share, u64 now, u64 ticks, unsigned int price)
{
	u64 most = lunatik_clock_of_us(DEBT_MAX), begin, debt;

	ticks = min(ticks, most);
	begin = now - ticks;
	debt = left_until(share->paid_off, begin) + ticks * price / 3;
	share->paid_off = begin + min(debt, most);
}

static u64 rest_of(const struct lunatik_share *share, u64 now)
{
	u64 debt = left_until(share->paid_off, now), burst = lunatik_clock_of_us(BURST);

	return debt > burst ? debt - burst : 0;
}

void lunatik_share_charge_hooks(struct lunatik_net *lnet, u64 ticks)
{
	struct lunatik_share *share = &this_cpu_ptr(lnet->shares)->hooks;
	u64 now = lunatik_clock(), rest;

	charge(share, now, ticks, HOOKS_PRICE);
	rest = rest_of(share, now);
	if (rest > left_until(this_cpu_read(lunatik_share_rests), now))
		this_cpu_write(lunatik_share_rests, now + rest);
}

void lunatik_share_hold_hooks(const struct lunatik_net *lnet)
{
	this_cpu_write(held, lnet);
	if (!this_cpu_read(lunatik_share_rests))
		this_cpu_write(lunatik_share_rests, lunatik_clock() | 1);
}

void lunatik_share_let_hooks(void)
{
	this_cpu_write(held, NULL);
}

bool lunatik_share_hooks_rest(struct lunatik_net *lnet)
{
	u64 now = lunatik_clock();

	if (this_cpu_read(held) == lnet)
		return true;
	if (!left_until(this_cpu_read(lunatik_share_rests), now))
		this_cpu_write(lunatik_share_rests, 0);
	return rest_of(&this_cpu_ptr(lnet->shares)->hooks, now);
}

void lunatik_share_charge_requests(struct lunatik_net *lnet, u64 ticks)
{
	charge(&this_cpu_ptr(lnet->shares)->requests, lunatik_clock(), ticks, REQUESTS_PRICE);
}

u64 lunatik_share_requests_rest(struct lunatik_net *lnet)
{
	return rest_of(&this_cpu_ptr(lnet->shares)->requests, lunatik_clock());
}

void lunatik_share_charge_timers(struct lunatik_net *lnet, u64 ticks)
{
	u64 now = lunatik_clock();

	charge(&this_cpu_ptr(lnet->shares)->timers, now, ticks, TIMERS_PRICE);
	charge(this_cpu_ptr(&all_timers), now, ticks, ALL_TIMERS_PRICE);
}

u64 lunatik_share_timers_rest(struct lunatik_net *lnet)
{
	u64 now = lunatik_clock();

	return min(rest_of(&this_cpu_ptr(lnet->shares)->timers, now),
		   rest_of(this_cpu_ptr(&all_timers), now));
}

void __init lunatik_share_init(void)
{
	lunatik_share_step = lunatik_clock_of_us(STEP);
}
