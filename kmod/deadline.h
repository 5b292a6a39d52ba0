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
#include <linux/percpu.h>

#include "clock.h"
#include "lua/lunatik_lua.h"
#include "stack.h"

struct lunatik_deadline {
	struct lunatik_guard guard;
	struct hrtimer timer;
	struct task_struct *task;
	struct hlist_node running;	/* on this CPU */
	const bool *closing;
	u64 begin;	/* ns, CLOCK_MONOTONIC; of a run that may not sleep, lunatik_clock() */
	u64 end;
	u32 timeout;	/* microseconds, for the error's text */
};

/* What watches over a CPU's runs that may not sleep. */
struct lunatik_watch {
	struct lunatik_deadline *deadline;	/* of the one under way, or NULL */
	u64 next;	/* when the timer goes off (lunatik_clock()); U64_MAX if it does not */
	struct hrtimer timer;
};

DECLARE_PER_CPU(struct lunatik_watch, lunatik_watch);

void lunatik_deadline_start_watch(struct lunatik_watch *watch, struct lunatik_deadline *deadline);

static __always_inline void lunatik_guard_enter(struct lunatik_guard *guard, lua_State *L,
						unsigned long stack, bool atomic)
{
	guard->stack_end = stack;
	guard->stack_soft = stack + LUNATIK_STACK_SOFT;
	guard->stack_hard = stack + LUNATIK_STACK_HARD;
	guard->stack_step = guard->stack_soft;
	guard->attention = 0;
	guard->overflowed = 0;
	guard->atomic = atomic;
	guard->L = L;
}

static __always_inline void lunatik_guard_leave(struct lunatik_guard *guard)
{
	guard->stack_end = 0;
	guard->stack_soft = 0;
	guard->stack_hard = 0;
	guard->atomic = 0;
}

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
 * After a run was entered once more: what had been found out about it, and whether
 * its time is over, for which a timer might come too late again and again.
 */
void lunatik_deadline_remember(struct lunatik_deadline *deadline, unsigned long attention,
			       bool expired);

/*
 * The same for a run that may not sleep; bottom halves are disabled from before
 * until after. None may be under way on this CPU. ticks: how long it may take, by
 * lunatik_clock(); timeout: as above.
 */
static __always_inline void lunatik_deadline_enter_atomic(struct lunatik_deadline *deadline,
							  lua_State *L, u64 ticks, u32 timeout)
{
	struct lunatik_watch *watch = this_cpu_ptr(&lunatik_watch);

	lunatik_guard_enter(&deadline->guard, L, lunatik_stack_end(), true);
	deadline->begin = lunatik_clock();
	deadline->end = deadline->begin + ticks;
	deadline->timeout = timeout;
	WRITE_ONCE(watch->deadline, deadline);
	if (LUNATIK_TIMED && unlikely(deadline->end < READ_ONCE(watch->next)))
		lunatik_deadline_start_watch(watch, deadline);
}

static __always_inline void lunatik_deadline_leave_atomic(struct lunatik_deadline *deadline)
{
	this_cpu_write(lunatik_watch.deadline, NULL);
	/* Only now: the timer takes the guard for that of a run. */
	barrier();
	lunatik_guard_leave(&deadline->guard);
}

/* How long it may take still (ticks); no time at all if the clock went back meanwhile. */
static inline u64 lunatik_deadline_left(const struct lunatik_deadline *deadline, u64 now)
{
	u64 may = READ_ONCE(deadline->end) - READ_ONCE(deadline->begin);
	u64 took = now - READ_ONCE(deadline->begin);

	return took < may ? may - took : 0;
}

/* Whether such a run is under way on this CPU. */
static __always_inline bool lunatik_deadline_busy(void)
{
	return this_cpu_read(lunatik_watch.deadline);
}

/* After a run that failed: -ETIME, -EINTR or -ESHUTDOWN if that is why, else 0. */
int lunatik_deadline_error(const struct lunatik_deadline *deadline);

int lunatik_deadlines_init(void);
/* No run is under way. */
void lunatik_deadlines_uninit(void);

#endif
