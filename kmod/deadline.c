// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cpuhotplug.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>
#include <linux/ktime.h>

#include "deadline.h"
#include "replica.h"
#include "run.h"
#include "stack.h"

/* How late a kill, a close or a waiting task may be noticed. */
#define TICK_NS		(4 * NSEC_PER_MSEC)

/* How many instructions of Lua come between two looks at the clock by a run itself. */
#define LOOK_INSTRUCTIONS	1000

const struct lunatik_guard lunatik_guard_none;
const unsigned int lunatik_stack_text = LUNATIK_STACK_TEXT;
const unsigned int lunatik_stack_handler = LUNATIK_STACK_HANDLER;

/* Runs that may sleep, began on this CPU and have not ended; more than one by preemption. */
static DEFINE_PER_CPU(struct hlist_head, running);

DEFINE_PER_CPU(struct lunatik_watch, lunatik_watch);

static int reason(const struct lunatik_guard *guard)
{
	unsigned long attention = READ_ONCE(guard->attention);
	int bit;

	for (bit = LUNATIK_ATTEND_CLOSING; bit >= LUNATIK_ATTEND_EXPIRED; bit--)
		if (attention & BIT(bit))
			return bit;
	return -1;
}

int lunatik_deadline_error(const struct lunatik_deadline *deadline)
{
	switch (reason(&deadline->guard)) {
	case LUNATIK_ATTEND_EXPIRED:
		return -ETIME;
	case LUNATIK_ATTEND_KILLED:
		return -EINTR;
	case LUNATIK_ATTEND_CLOSING:
		return -ESHUTDOWN;
	}
	return 0;
}

static void push_reason(lua_State *L, const struct lunatik_deadline *deadline, int why)
{
	u32 us = deadline->timeout;

	luaL_where(L, 0);
	switch (why) {
	case LUNATIK_ATTEND_EXPIRED:
		lua_pushfstring(L, us % 1000 ? "deadline of %d us passed" : "deadline of %d ms passed",
				us % 1000 ? us : us / 1000);
		break;
	case LUNATIK_ATTEND_KILLED:
		lua_pushliteral(L, "caller was killed");
		break;
	case LUNATIK_ATTEND_CLOSING:
		lua_pushliteral(L, "state is being closed");
		break;
	}
	lua_concat(L, 2);
}

static void hook(lua_State *L, lua_Debug *ar);

static void arm(lua_State *L)
{
	lua_sethook(L, hook, LUA_MASKCOUNT, 1);
}

/*
 * Ends the run, again and again until it has unwound: errors raised here are
 * caught by pcall like any other, so the guard stays up. The first one is
 * reported, with a traceback.
 */
void lunatik_attend(lua_State *L)
{
	struct lunatik_guard *guard = lunatik_guard(L);
	struct lunatik_deadline *deadline = container_of(guard, struct lunatik_deadline, guard);
	int why;

	if (guard->attention & BIT(LUNATIK_ATTEND_LOOK) &&
	    !lunatik_deadline_left(deadline, lunatik_clock())) {
		set_bit(LUNATIK_ATTEND_EXPIRED, &guard->attention);
		arm(L);
	}
	clear_bit(LUNATIK_ATTEND_RESCHED, &guard->attention);
	if (!guard->attention)
		WRITE_ONCE(guard->stack_step, guard->stack_soft);
	if (!guard->atomic)
		cond_resched();
	why = reason(guard);
	if (why < 0)
		return;
	/* From here on any error will do, and one without memory may come first. */
	lunatik_shed_handlers(L);
	luaL_checkstack(L, LUA_MINSTACK, NULL);
	if (lunatik_run_ended(L) || lunatik_stack_left(guard) < LUNATIK_STACK_KERNEL) {
		lua_pushliteral(L, "run ended");
	} else {
		push_reason(L, deadline, why);
		lunatik_run_end(L);
	}
	lua_error(L);
}

/* Stays armed while the run is to end, so that it meets every next instruction. */
static void hook(lua_State *L, lua_Debug *ar)
{
	lunatik_attend(L);
	if (lunatik_guard(L)->attention)
		lua_sethook(L, hook, LUA_MASKCOUNT, LOOK_INSTRUCTIONS);
	else
		lua_sethook(L, NULL, 0, 0);
}

/*
 * An interrupt on the CPU that the run began on and cannot leave, so the script
 * stands still: running below this interrupt, preempted or asleep.
 * lua_sethook() is made to be called from there.
 */
static enum hrtimer_restart tick(struct hrtimer *timer)
{
	struct lunatik_deadline *deadline = container_of(timer, struct lunatik_deadline, timer);
	struct lunatik_guard *guard = &deadline->guard;
	u64 now = ktime_get_ns(), end = READ_ONCE(deadline->end);

	if (now >= end)
		set_bit(LUNATIK_ATTEND_EXPIRED, &guard->attention);
	if (fatal_signal_pending(deadline->task))
		set_bit(LUNATIK_ATTEND_KILLED, &guard->attention);
	if (READ_ONCE(*deadline->closing))
		set_bit(LUNATIK_ATTEND_CLOSING, &guard->attention);
	if (test_tsk_need_resched(deadline->task))
		set_bit(LUNATIK_ATTEND_RESCHED, &guard->attention);
	if (guard->attention) {
		WRITE_ONCE(guard->stack_step, ULONG_MAX);
		arm(guard->L);
	}

	now += TICK_NS;
	if (now > end && !(guard->attention & BIT(LUNATIK_ATTEND_EXPIRED)))
		now = end;
	hrtimer_set_expires(timer, ns_to_ktime(now));
	return HRTIMER_RESTART;
}

void lunatik_deadline_init(struct lunatik_deadline *deadline, const bool *closing)
{
	memset(deadline, 0, sizeof(*deadline));
	hrtimer_setup(&deadline->timer, tick, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
	deadline->closing = closing;
}

void lunatik_deadline_enter(struct lunatik_deadline *deadline, lua_State *L, u64 begin, u64 end,
			    u32 timeout)
{
	lunatik_guard_enter(&deadline->guard, L, (unsigned long)end_of_stack(current), false);
	deadline->task = current;
	deadline->begin = begin;
	deadline->end = end;
	deadline->timeout = timeout;
	if (!LUNATIK_TIMED)
		return;

	migrate_disable();
	preempt_disable();
	hlist_add_head(&deadline->running, this_cpu_ptr(&running));
	preempt_enable();
	hrtimer_start(&deadline->timer, ns_to_ktime(min(end, begin + TICK_NS)),
		      HRTIMER_MODE_ABS_PINNED_HARD);
}

void lunatik_deadline_restart(struct lunatik_deadline *deadline, u64 end)
{
	/* First, so that the timer does not set again what is cleared. */
	WRITE_ONCE(deadline->end, end);
	barrier();
	clear_bit(LUNATIK_ATTEND_EXPIRED, &deadline->guard.attention);
	/* The timer comes often enough by itself for all but the shortest. */
	if (LUNATIK_TIMED && end < (u64)hrtimer_get_expires(&deadline->timer))
		hrtimer_start(&deadline->timer, ns_to_ktime(end), HRTIMER_MODE_ABS_PINNED_HARD);
}

void lunatik_deadline_leave(struct lunatik_deadline *deadline)
{
	if (LUNATIK_TIMED) {
		hrtimer_cancel(&deadline->timer);
		preempt_disable();
		__hlist_del(&deadline->running);
		preempt_enable();
		migrate_enable();
	}
	lunatik_guard_leave(&deadline->guard);
}

void lunatik_deadline_remember(struct lunatik_deadline *deadline, unsigned long attention,
			       bool expired)
{
	struct lunatik_guard *guard = &deadline->guard;
	int bit;

	if (!LUNATIK_TIMED || (!attention && !expired))
		return;
	if (expired)
		attention |= BIT(LUNATIK_ATTEND_EXPIRED);
	for (bit = LUNATIK_ATTEND_RESCHED; bit <= LUNATIK_ATTEND_CLOSING; bit++)
		if (attention & BIT(bit))
			set_bit(bit, &guard->attention);
	WRITE_ONCE(guard->stack_step, ULONG_MAX);
	arm(guard->L);
}

static enum hrtimer_restart tick_atomic(struct hrtimer *timer)
{
	struct lunatik_watch *watch = container_of(timer, struct lunatik_watch, timer);
	struct lunatik_deadline *deadline = READ_ONCE(watch->deadline);
	u64 now = lunatik_clock(), left;

	if (!deadline) {
		watch->next = U64_MAX;
		return HRTIMER_NORESTART;
	}
	left = lunatik_deadline_left(deadline, now);
	if (!left) {
		struct lunatik_guard *guard = &deadline->guard;

		set_bit(LUNATIK_ATTEND_EXPIRED, &guard->attention);
		WRITE_ONCE(guard->stack_step, ULONG_MAX);
		arm(guard->L);
		left = lunatik_clock_of_us(TICK_NS / NSEC_PER_USEC);
	}
	watch->next = now + left;
	hrtimer_set_expires(timer, ns_to_ktime(ktime_get_ns() + lunatik_clock_ns(left)));
	return HRTIMER_RESTART;
}

/*
 * Each run has to look by itself where no timer is sure to interrupt a softirq: those
 * without high resolution come with the tick, which stands still while an interrupt
 * of an idle CPU lasts, and user mode may lose one that comes while it serves another.
 */
static bool need_look(void)
{
	return IS_ENABLED(CONFIG_UML) || hrtimer_resolution > 1;
}

static void look(struct lunatik_guard *guard)
{
	set_bit(LUNATIK_ATTEND_LOOK, &guard->attention);
	WRITE_ONCE(guard->stack_step, ULONG_MAX);
	arm(guard->L);
}

void lunatik_deadline_start_watch(struct lunatik_watch *watch, struct lunatik_deadline *deadline)
{
	if (need_look()) {
		look(&deadline->guard);
		return;
	}
	watch->next = deadline->end;
	/* A run that let go of its deadline has less left than its timeout. */
	hrtimer_start(&watch->timer,
		      ns_to_ktime(lunatik_clock_ns(deadline->end - deadline->begin)),
		      HRTIMER_MODE_REL_PINNED_HARD);
}

/* A CPU has gone, and its timer to another one, which must not look at what comes later. */
static int forget_cpu(unsigned int cpu)
{
	struct lunatik_watch *watch = per_cpu_ptr(&lunatik_watch, cpu);

	hrtimer_cancel(&watch->timer);
	watch->next = U64_MAX;
	return 0;
}

static enum cpuhp_state hotplug;

int lunatik_deadlines_init(void)
{
	int cpu, err;

	for_each_possible_cpu(cpu) {
		struct lunatik_watch *watch = per_cpu_ptr(&lunatik_watch, cpu);

		watch->next = U64_MAX;
		hrtimer_setup(&watch->timer, tick_atomic, CLOCK_MONOTONIC,
			      HRTIMER_MODE_REL_PINNED_HARD);
	}
	err = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "lunatik", NULL, forget_cpu);
	if (err < 0)
		return err;
	hotplug = err;
	return 0;
}

void lunatik_deadlines_uninit(void)
{
	int cpu;

	cpuhp_remove_state_nocalls(hotplug);
	for_each_possible_cpu(cpu)
		hrtimer_cancel(&per_cpu_ptr(&lunatik_watch, cpu)->timer);
}

/*
 * Whether the coroutine is one of the replica's own, of requests or callbacks, which
 * scripts get from coroutine.running() and to Lua look like any other between two calls.
 */
static bool is_own(const lua_State *L)
{
	const struct lunatik_replica *replica = lunatik_replica_of(L);

	return L == replica->L || L == replica->callbacks;
}

/* The coroutine that runs is the one to hook. Called in place of lua_resume(). */
int lunatik_resume(lua_State *L, lua_State *from, int narg, int *nres)
{
	struct lunatik_guard *guard = lunatik_guard(L);
	int status;

	if (is_own(L)) {
		lua_pop(L, narg);
		/* A string that there is already (cstack.c): memory errors would not be caught. */
		lua_pushliteral(L, "cannot resume non-suspended coroutine");
		return LUA_ERRRUN;
	}
	WRITE_ONCE(guard->L, L);
	if (guard->attention)
		arm(L);
	status = lua_resume(L, from, narg, nres);
	WRITE_ONCE(guard->L, from);
	if (guard->attention)
		arm(from);
	return status;
}

/* Likewise for lua_closethread(), which runs __close metamethods. */
int lunatik_closethread(lua_State *L, lua_State *from)
{
	struct lunatik_guard *guard = lunatik_guard(L);
	int status;

	if (is_own(L))
		return luaL_error(from, "cannot close main thread");
	WRITE_ONCE(guard->L, L);
	if (guard->attention)
		arm(L);
	status = lua_closethread(L, from);
	WRITE_ONCE(guard->L, from);
	if (guard->attention)
		arm(from);
	return status;
}

/* For string.find, whose search has no lua_State at hand. */
void lunatik_poll_running(void)
{
	struct lunatik_deadline *deadline;
	lua_State *L = NULL;

	preempt_disable();
	/* What may not sleep lets nothing else run here before it has ended. */
	deadline = this_cpu_read(lunatik_watch.deadline);
	if (deadline) {
		L = deadline->guard.attention ? deadline->guard.L : NULL;
		goto out;
	}
	hlist_for_each_entry(deadline, this_cpu_ptr(&running), running) {
		if (deadline->task == current) {
			L = deadline->guard.attention ? deadline->guard.L : NULL;
			break;
		}
	}
out:
	preempt_enable();
	if (L)
		lunatik_attend(L);
}
