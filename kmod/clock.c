// SPDX-License-Identifier: GPL-2.0-only
#include <linux/init.h>
#include <linux/math64.h>
#include <linux/time64.h>
#if defined(CONFIG_X86_64) && !defined(CONFIG_UML)
#include <asm/tsc.h>
#endif

#include "clock.h"

DEFINE_STATIC_KEY_FALSE(lunatik_clock_cycles);
u32 lunatik_clock_khz = NSEC_PER_MSEC;

u64 lunatik_clock_ns(u64 ticks)
{
	return mul_u64_u32_div(ticks, NSEC_PER_MSEC, lunatik_clock_khz);
}

void __init lunatik_clock_init(void)
{
#if defined(CONFIG_X86_64) && !defined(CONFIG_UML)
	if (!tsc_khz || check_tsc_unstable())
		return;
	lunatik_clock_khz = tsc_khz;
	static_branch_enable(&lunatik_clock_cycles);
#endif
}
