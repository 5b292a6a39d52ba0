// SPDX-License-Identifier: GPL-2.0-only
#include <linux/init.h>

#include "netns.h"
#include "share.h"

#define STEP	100	/* microseconds */

u64 lunatik_share_step;
DEFINE_PER_CPU(u64, lunatik_share_rests);

void lunatik_share_charge(struct lunatik_net *lnet, u64 ticks)
{
	struct lunatik_share *share = this_cpu_ptr(lnet->hooks);
	u64 now = lunatik_clock(), rest;

	lunatik_share_take(share, now - ticks, ticks + ticks / 3);
	rest = lunatik_share_rest(share);
	if (rest > now && rest > this_cpu_read(lunatik_share_rests))
		this_cpu_write(lunatik_share_rests, rest);
}

bool lunatik_share_used_up(const struct lunatik_net *lnet, u64 now)
{
	return now < lunatik_share_rest(this_cpu_ptr(lnet->hooks));
}

void __init lunatik_share_init(void)
{
	lunatik_share_step = lunatik_clock_of_us(STEP);
}
