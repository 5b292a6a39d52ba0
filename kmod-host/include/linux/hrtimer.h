/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_HRTIMER_H
#define HOST_LINUX_HRTIMER_H

/* The test is the clock: it calls the function of the timer that is started. */
#include <linux/ktime.h>

enum hrtimer_restart { HRTIMER_NORESTART, HRTIMER_RESTART };
enum hrtimer_mode { HRTIMER_MODE_ABS_PINNED_HARD, HRTIMER_MODE_REL_PINNED_HARD };

#define CLOCK_MONOTONIC	1
#define hrtimer_resolution	1

struct hrtimer {
	enum hrtimer_restart (*function)(struct hrtimer *timer);
	ktime_t expires;
};

extern struct hrtimer *host_timer;	/* the one that is started */

static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *timer),
				 int clock, enum hrtimer_mode mode)
{
	(void)clock, (void)mode;
	timer->function = function;
}

static inline void hrtimer_set_expires(struct hrtimer *timer, ktime_t expires)
{
	timer->expires = expires;
}

static inline ktime_t hrtimer_get_expires(const struct hrtimer *timer)
{
	return timer->expires;
}

static inline void hrtimer_start(struct hrtimer *timer, ktime_t expires, enum hrtimer_mode mode)
{
	(void)mode;
	timer->expires = expires;
	host_timer = timer;
}

static inline void hrtimer_cancel(struct hrtimer *timer)
{
	if (host_timer == timer)
		host_timer = NULL;
}

#endif
