// SPDX-License-Identifier: GPL-2.0-only
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/workqueue.h>
#include <uapi/linux/lunatik.h>

#include "callback.h"
#include "clock.h"
#include "lib/lib.h"
#include "lua/registry.h"
#include "netns.h"
#include "run.h"
#include "share.h"
#include "state.h"
#include "timer.h"

#define METATABLE	"timer"
#define MS_MAX		(S64_MAX / 2 / NSEC_PER_MSEC)

/*
 * How long a timer waits for a replica that another CPU uses, and when it comes again if
 * that has not ended (microseconds).
 */
#define WAIT	20
#define AGAIN	2000

/* A userdata's memory. As long as it is in the list the registry keeps it. */
struct lunatik_timer {
	struct hrtimer hrtimer;
	struct list_head list;
	struct lunatik_replica *replica;
	ktime_t due;		/* CLOCK_MONOTONIC */
	u64 interval;		/* ns; 0: once */
	bool armed;		/* has not been cancelled */
	bool late;		/* went off, and waits for who holds the replica, or for the worker */
};

void lunatik_timers_init(struct lunatik_timers *timers)
{
	INIT_LIST_HEAD(&timers->list);
	timers->count = 0;
}

/* It will not go off any more. L: any of the replica's. Raises nothing. */
static void forget(struct lunatik_timer *timer, lua_State *L)
{
	struct lunatik_timers *timers = &timer->replica->timers;

	list_del(&timer->list);
	WRITE_ONCE(timers->count, timers->count - 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_TIMERS);
	lua_pushnil(L);
	lua_rawsetp(L, -2, timer);
	lua_pop(L, 1);
}

/* Pushes the function, and what keeps it below. */
static void push_function(struct lunatik_timer *timer, lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_TIMERS);
	lua_rawgetp(L, -1, timer);
	lua_getiuservalue(L, -1, 1);
}

/* The next time that is still to come; those that were missed are left out. */
static void advance(struct lunatik_timer *timer)
{
	s64 behind = ktime_to_ns(ktime_sub(ktime_get(), timer->due));
	u64 steps = behind < 0 ? 1 : div64_u64(behind, timer->interval) + 1;

	timer->due = ktime_add_ns(timer->due, steps * timer->interval);
}

static void call(struct lunatik_timer *timer)
{
	struct lunatik_replica *replica = timer->replica;
	lua_State *L = replica->callbacks;
	int status, top = lua_gettop(L);

	replica->run = &replica->callback;
	replica->runs++;
	lunatik_deadline_enter_atomic(&replica->deadline, L, replica->state->timeout_ticks,
				      replica->state->timeout);
	push_function(timer, L);
	status = lua_pcall(L, 0, 0, LUNATIK_CALLBACK_HANDLER);
	if (status != LUA_OK || replica->callback.ended)
		lunatik_run_failed(replica, &replica->callback, L,
				   status == LUA_OK ? LUA_ERRRUN : status, "timer");
	lunatik_run_forget(&replica->callback);
	lua_settop(L, top);
	lunatik_deadline_leave_atomic(&replica->deadline);
	replica->run_time += lunatik_clock_ns(lunatik_clock() - replica->deadline.begin);
	replica->run = NULL;
}

/* The replica's lock is held, and the replica by nobody. */
static enum hrtimer_restart fire(struct lunatik_timer *timer)
{
	if (timer->armed)
		call(timer);
	if (!timer->armed || !timer->interval) {
		timer->armed = false;
		forget(timer, timer->replica->callbacks);
		return HRTIMER_NORESTART;
	}
	advance(timer);
	hrtimer_set_expires(&timer->hrtimer, timer->due);
	return HRTIMER_RESTART;
}

static enum hrtimer_restart fire_softirq(struct hrtimer *hrtimer)
{
	struct lunatik_timer *timer = container_of(hrtimer, struct lunatik_timer, hrtimer);
	struct lunatik_replica *replica = timer->replica;
	struct lunatik_net *lnet = replica->state->lnet;
	enum hrtimer_restart restart = HRTIMER_NORESTART;
	u64 begin = lunatik_clock(), rest = lunatik_share_timers_rest(lnet);

	if (!rest && !spin_trylock(&replica->lock) &&
	    !lunatik_replica_wait(replica, lunatik_clock_of_us(WAIT)))
		rest = lunatik_clock_of_us(AGAIN);
	if (rest) {
		hrtimer_set_expires(hrtimer, ktime_add_ns(ktime_get(), lunatik_clock_ns(rest)));
		/* Those that come for nothing take time, too. */
		lunatik_share_charge_timers(lnet, lunatik_clock() - begin);
		return HRTIMER_RESTART;
	}
	timer->late = replica->held;
	if (!timer->late)
		restart = fire(timer);
	/* Under the lock, without which nothing keeps the namespace if the timer is forgotten. */
	lunatik_share_charge_timers(lnet, lunatik_clock() - begin);
	spin_unlock(&replica->lock);
	return restart;
}

static void start_here(void *data)
{
	struct lunatik_timer *timer = data;

	hrtimer_start(&timer->hrtimer, timer->due, HRTIMER_MODE_ABS_PINNED_SOFT);
}

/*
 * That of one of several replicas goes off where its packets are, so that neither waits
 * for the other. A request makes it wherever it is; who makes it for a packet is there.
 */
static void start(struct lunatik_timer *timer)
{
	const struct lunatik_state *state = timer->replica->state;
	int cpu = timer->replica - state->replicas;

	if (state->nreplicas > 1) {
		if (cpu == raw_smp_processor_id()) {
			start_here(timer);
			return;
		}
		/* It fails if the CPU has gone. */
		if (in_task() && !smp_call_function_single(cpu, start_here, timer, true))
			return;
	}
	hrtimer_start(&timer->hrtimer, timer->due, HRTIMER_MODE_ABS_SOFT);
}

void lunatik_timers_catch_up(struct lunatik_replica *replica)
{
	struct lunatik_timer *timer, *next;

	list_for_each_entry_safe(timer, next, &replica->timers.list, list) {
		if (!timer->late)
			continue;
		timer->late = false;
		if (timer->armed)
			start(timer);
		else
			forget(timer, replica->callbacks);
	}
}

/* A process state's: the worker does the rest. */
static enum hrtimer_restart fire_process(struct hrtimer *hrtimer)
{
	struct lunatik_timer *timer = container_of(hrtimer, struct lunatik_timer, hrtimer);
	struct lunatik_state *state = timer->replica->state;

	WRITE_ONCE(timer->late, true);
	queue_work(READ_ONCE(state->lnet->timers), &state->fire);
	return HRTIMER_NORESTART;
}

static struct lunatik_timer *find_late(struct lunatik_replica *replica)
{
	struct lunatik_timer *timer;

	list_for_each_entry(timer, &replica->timers.list, list)
		if (READ_ONCE(timer->late))
			return timer;
	return NULL;
}

struct firing {
	struct lunatik_run run;
	bool more;
};

static int fire_one(lua_State *L)
{
	struct firing *firing = lua_touserdata(L, 1);
	struct lunatik_replica *replica = lunatik_replica_of(L);
	struct lunatik_timer *timer = find_late(replica);

	firing->more = false;
	if (!timer)
		return 0;
	push_function(timer, L);
	timer->late = false;
	if (timer->interval) {
		advance(timer);
		start(timer);
	} else {
		timer->armed = false;
		/* On the stack it is kept as long as it is needed. */
		forget(timer, L);
	}
	firing->more = find_late(replica);
	lua_call(L, 0, 0);
	lunatik_poll(L);
	return 0;
}

static void fire_all(struct work_struct *work)
{
	struct lunatik_state *state = container_of(work, struct lunatik_state, fire);
	struct firing firing;
	int err;

	do {
		firing = (struct firing){
			.run.body  = fire_one,
			.run.what  = "timer",
			.run.count = 1,
		};
		err = lunatik_run_callback(state, &firing.run);
	} while (err != -ESHUTDOWN && firing.more);
}

void lunatik_timers_init_state(struct lunatik_state *state)
{
	INIT_WORK(&state->fire, fire_all);
}

void lunatik_timers_stop(struct lunatik_state *state)
{
	struct lunatik_replica *replica;
	struct lunatik_timer *timer;

	/* A script may change the lists: the worker's until then, those of softirqs are locked out. */
	cancel_work_sync(&state->fire);
	for (replica = state->replicas; replica < state->replicas + state->nreplicas; replica++)
		if (replica->L)
			list_for_each_entry(timer, &replica->timers.list, list)
				hrtimer_cancel(&timer->hrtimer);
	/* One that went off meanwhile has queued it: a state that ends runs nothing. */
	cancel_work_sync(&state->fire);
}

static bool make_worker(lua_State *L, struct lunatik_net *lnet)
{
	struct lunatik_pause pause;
	int err;

	if (READ_ONCE(lnet->timers))
		return true;
	/* A process state's run may sleep. */
	if (!lunatik_run_pause(L, &pause))
		return false;
	err = lunatik_netns_make_worker(&lnet->timers);
	lunatik_run_resume(lunatik_replica_of(L), &pause);
	return !err;
}

static int timer_cancel(lua_State *L)
{
	struct lunatik_timer *timer = luaL_checkudata(L, 1, METATABLE);
	bool was_armed = timer->armed;

	timer->armed = false;
	lua_pushboolean(L, was_armed);
	if (!was_armed)
		return 1;
	if (timer->replica->state->context == LUNATIK_CONTEXT_PROCESS)
		hrtimer_cancel(&timer->hrtimer);
	else if (hrtimer_try_to_cancel(&timer->hrtimer) < 0)
		return 1;	/* it waits for us, or called us, and sees to the rest */
	timer->late = false;
	forget(timer, L);
	return 1;
}

static int timer_tostring(lua_State *L)
{
	const struct lunatik_timer *timer = luaL_checkudata(L, 1, METATABLE);

	lua_pushstring(L, timer->armed ? "timer" : "timer (gone)");
	return 1;
}

static const luaL_Reg methods[] = {
	{ "cancel",	timer_cancel },
	{ NULL,		NULL },
};

void lunatik_timer_push(lua_State *L, u64 ms, bool again)
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	bool process = replica->state->context == LUNATIK_CONTEXT_PROCESS;
	struct lunatik_timers *timers = &replica->timers;
	struct lunatik_timer *timer;

	luaL_argcheck(L, ms <= MS_MAX, 1, "out of range");
	if (timers->count >= LUNATIK_TIMERS_MAX)
		luaL_error(L, "all the timers (%d) that may be pending are", LUNATIK_TIMERS_MAX);
	lunatik_lib_need_kernel(L);
	lunatik_callbacks_open(L);
	if (process && !make_worker(L, replica->state->lnet))
		lunatik_lib_nomem(L);

	timer = lua_newuserdatauv(L, sizeof(*timer), 1);
	timer->replica = replica;
	timer->interval = again ? ms * NSEC_PER_MSEC : 0;
	timer->armed = false;
	timer->late = false;
	lunatik_lib_set_handle(L, METATABLE, methods, timer_tostring, timer_cancel);
	lua_insert(L, -2);
	lua_setiuservalue(L, -2, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUNATIK_RIDX_TIMERS);
	lua_pushvalue(L, -2);
	lua_rawsetp(L, -2, timer);
	lua_pop(L, 1);

	/* Nothing fails from here on. */
	hrtimer_setup(&timer->hrtimer, process ? fire_process : fire_softirq, CLOCK_MONOTONIC,
		      HRTIMER_MODE_ABS_SOFT);
	timer->armed = true;
	list_add_tail(&timer->list, &timers->list);
	WRITE_ONCE(timers->count, timers->count + 1);
	timer->due = ktime_add_ns(ktime_get(), ms * NSEC_PER_MSEC);
	start(timer);
}
