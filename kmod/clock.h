/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The clock of what may not sleep, which is read twice for each packet: the CPU's own
 * cycle counter where the kernel trusts it, and nanoseconds elsewhere. Differences
 * count, between readings on one CPU.
 */
#ifndef LUNATIK_CLOCK_H
#define LUNATIK_CLOCK_H

#include <linux/jump_label.h>
#include <linux/ktime.h>
#include <linux/sched/clock.h>
#include <linux/types.h>
#if defined(CONFIG_X86_64) && !defined(CONFIG_UML)
#include <asm/msr.h>
#endif

DECLARE_STATIC_KEY_FALSE(lunatik_clock_cycles);
extern u32 lunatik_clock_khz;	/* ticks of the clock in a millisecond */

static __always_inline u64 lunatik_clock(void)
{
#if defined(CONFIG_X86_64) && !defined(CONFIG_UML)
	if (static_branch_likely(&lunatik_clock_cycles))
		return rdtsc();
#endif
#ifdef CONFIG_UML
	/* Its sched_clock() counts in jiffies, which a short run never sees pass. */
	return ktime_get_mono_fast_ns();
#endif
	return sched_clock();
}

/* What so many microseconds, at most a minute, are by the clock. */
static __always_inline u64 lunatik_clock_of_us(u32 us)
{
	return (u64)us * lunatik_clock_khz / 1000;
}

/* Nanoseconds */
u64 lunatik_clock_ns(u64 ticks);

void lunatik_clock_init(void);

#endif
