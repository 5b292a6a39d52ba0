/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The time limit of a run. It costs nothing per Lua instruction: a timer on the
 * CPU that runs the script looks now and then whether the deadline has passed,
 * the caller was killed, the state is being closed or another task waits for
 * the CPU, and only then arms a Lua hook that takes the next instruction.
 *
 * Runs that may not sleep follow each other closely: one timer for all of a CPU
 * stays armed as long as they do, and looks at whichever is under way.
 */
#ifndef LUNATIK_DEADLINE_H
#define LUNATIK_DEADLINE_H

#include <linux/hrtimer.h>

#include "lua/lunatik_lua.h"

struct lunatik_deadline {
	struct lunatik_guard guard;
	struct hrtimer timer;
	struct task_struct *task;
	struct hlist_node running;	/* on this CPU */
	const bool *closing;
	u64 begin;	/* ns, CLOCK_MONOTONIC; of a run that may not sleep, sched_clock() */
	u64 end;
	u32 timeout;	/* microseconds, for the error's text */
};

/* closing: becomes true when a run should end for the state's sake. */
void lunatik_deadline_init(struct lunatik_deadline *deadline, const bool *closing);

/*
 * Process context, the state's lock held; the task stays on its CPU in between.
 * begin, end: now, and when the deadline passes (ns, CLOCK_MONOTONIC); timeout:
 * what it was called when it was asked for.
 */
void lunatik_deadline_enter(struct lunatik_deadline *deadline, lua_State *L, u64 begin, u64 end,
			    u32 timeout);
/* Between both: what was run has ended, what comes now has to by `end`. */
void lunatik_deadline_restart(struct lunatik_deadline *deadline, u64 end);
void lunatik_deadline_leave(struct lunatik_deadline *deadline);

/*
 * The same for a run that may not sleep; bottom halves are disabled from before
 * until after. None may be under way on this CPU. timeout: microseconds.
 */
void lunatik_deadline_enter_atomic(struct lunatik_deadline *deadline, lua_State *L, u32 timeout);
void lunatik_deadline_leave_atomic(struct lunatik_deadline *deadline);
/* Whether one is. */
bool lunatik_deadline_busy(void);

/* After a run that failed: -ETIME, -EINTR or -ESHUTDOWN if that is why, else 0. */
int lunatik_deadline_error(const struct lunatik_deadline *deadline);

void lunatik_deadlines_init(void);
/* No run is under way. */
void lunatik_deadlines_uninit(void);

#endif
