// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bottom_half.h>
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/ratelimit.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <uapi/linux/lunatik.h>

#include "clock.h"
#include "event.h"
#include "reply.h"
#include "run.h"
#include "share.h"
#include "stack.h"
#include "state.h"
#include "traceback.h"

/* Where an error came from is told before its message in at most so many bytes. */
#define PLACE_MAX	64

static void forget_failure(struct lunatik_failure *failure)
{
	kfree(failure->text);
	failure->text = NULL;
}

void lunatik_run_forget(struct lunatik_run *run)
{
	if (!run->reported)
		return;
	if (run->reply)
		lunatik_reply_reset(run->reply);
	else
		forget_failure(&run->failure);
	run->reported = false;
}

/* Without memory for the text the error number has to do. */
static void to_reply(lua_State *L, struct lunatik_run *run, const char *message, size_t len,
		     int level)
{
	char *traceback;

	lunatik_reply_reset(run->reply);
	run->reported = !lunatik_reply_put(run->reply, LUNATIK_A_ERROR, message, len);
	if (!run->reported || level < 0)
		return;
	traceback = lunatik_traceback(L, level, &len);
	if (!traceback)
		return;
	lunatik_reply_put(run->reply, LUNATIK_A_TRACEBACK, traceback, len);
	kfree(traceback);
}

static void to_failure(lua_State *L, struct lunatik_run *run, const char *message, size_t len,
		       int level)
{
	struct lunatik_failure *failure = &run->failure;
	char *traceback = NULL;
	size_t more = 0;

	forget_failure(failure);
	if (level >= 0)
		traceback = lunatik_traceback(L, level, &more);
	if (!traceback)
		more = 0;
	failure->text = kmalloc(len + more + 1, lunatik_gfp(lunatik_guard(L)));
	run->reported = failure->text;
	if (failure->text) {
		memcpy(failure->text, message, len);
		failure->text[len] = '\n';
		if (more)
			memcpy(failure->text + len + 1, traceback, more);
		failure->message_len = len;
		failure->len = len + more + !!more;
	}
	kfree(traceback);
}

/* Without a level, without a traceback. */
static void report(lua_State *L, struct lunatik_run *run, const char *message, size_t len,
		   int level)
{
	static const char too_long[] = "error message too long";

	if (len > LUNATIK_STRING_MAX) {
		message = too_long;
		len = sizeof(too_long) - 1;
	}
	if (run->reply)
		to_reply(L, run, message, len, level);
	else
		to_failure(L, run, message, len, level);
}

int lunatik_lacked_stack(const lua_State *L)
{
	return lunatik_replica_of(L)->heap.lacked_stack;
}

bool lunatik_run_ended(const lua_State *L)
{
	return lunatik_replica_of(L)->run->ended;
}

void lunatik_run_end(lua_State *L)
{
	struct lunatik_run *run = lunatik_replica_of(L)->run;
	size_t len;
	const char *message = lua_tolstring(L, -1, &len);

	report(L, run, message, len, 0);
	run->ended = true;
}

/* Lua calls it for some errors within load(), too, which are values then: what it reports is not final. */
int lunatik_run_on_error(lua_State *L)
{
	struct lunatik_run *run = lunatik_replica_of(L)->run;
	const char *message;
	size_t len;

	/* An error of the body's own has a text and no script to trace. */
	if (run->error || lunatik_stack_left(lunatik_guard(L)) < LUNATIK_STACK_KERNEL)
		return 1;
	/* A string is the message itself, whatever a script made of its __tostring. */
	if (lua_type(L, 1) == LUA_TSTRING)
		message = lua_tolstring(L, 1, &len);
	else
		message = luaL_tolstring(L, 1, &len);
	report(L, run, message, len, 1);
	lua_settop(L, 1);
	return 1;
}

struct lunatik_reply *lunatik_run_reply(struct lunatik_run *run)
{
	lunatik_run_forget(run);
	return run->reply;
}

int lunatik_run_fail(lua_State *L, int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	lua_pushvfstring(L, fmt, args);
	va_end(args);
	lunatik_replica_of(L)->run->error = error;
	return lua_error(L);
}

static int why(struct lunatik_replica *replica, struct lunatik_run *run, int status)
{
	int err = lunatik_deadline_error(&replica->deadline);

	if (err)
		return err;
	if (status == LUA_ERRMEM)
		return -ENOMEM;
	return run->error ?: -EREMOTEIO;
}

/* Whether what is reported is the very error that the run ended in. */
static bool is_reported(const struct lunatik_run *run, int status)
{
	return run->ended || (run->reported && !run->error && status == LUA_ERRRUN);
}

/* The error on top of L's stack. Not converted: that would need memory, and this is outside protected mode. */
static const char *message_of(lua_State *L, size_t *len)
{
	static const char no_text[] = "(error object is not a string)";

	if (lua_type(L, -1) == LUA_TSTRING)
		return lua_tolstring(L, -1, len);
	*len = sizeof(no_text) - 1;
	return no_text;
}

static int count_failure(struct lunatik_replica *replica, struct lunatik_run *run, int status)
{
	int err = why(replica, run, status);

	replica->errors++;
	if (err == -ETIME)
		replica->deadline_kills++;
	return err;
}

static int finish(struct lunatik_replica *replica, struct lunatik_run *run, int status)
{
	lua_State *L = replica->L;
	const char *message;
	size_t len;
	int err;

	if (status == LUA_OK) {
		lunatik_run_forget(run);
		return 0;
	}
	if (run->what)
		return lunatik_run_failed(replica, run, L, status, run->what);
	err = count_failure(replica, run, status);
	message = message_of(L, &len);
	if (!is_reported(run, status))
		report(L, run, message, len, -1);
	lunatik_event_failed(replica, -err, message, len);
	return err;
}

/* A line of the log: where the error came from, and as much of it as a line holds. */
static void log_failure(struct lunatik_replica *replica, const struct lunatik_failure *failure,
			const char *message, size_t len, const char *what)
{
	struct lunatik_state *state = replica->state;
	const struct lunatik_log_line *line;
	char place[PLACE_MAX];
	size_t at = 0, size;
	char *text;

	if (failure->text) {
		message = failure->text;
		len = failure->message_len;
	}
	if (state->nreplicas > 1)
		at = scnprintf(place, sizeof(place), "cpu %u: ",
			       (unsigned int)(replica - state->replicas));
	at += scnprintf(place + at, sizeof(place) - at, "%s: ", what);
	if (replica->unlogged)
		at += scnprintf(place + at, sizeof(place) - at, "(%llu more not logged) ",
				replica->unlogged);
	if (failure->text && at + failure->len <= LUNATIK_LOG_LINE_MAX)
		len = failure->len;
	if (at + len > LUNATIK_LOG_LINE_MAX) {
		message = "error message too long";
		len = strlen(message);
	}
	size = at + len;
	text = kmalloc(size, lunatik_gfp(&replica->deadline.guard));
	if (!text) {
		replica->unlogged++;
		return;
	}
	memcpy(text, place, at);
	memcpy(text + at, message, len);
	line = lunatik_log_add(&state->log, &replica->logged, &replica->heap, text, size);
	kfree(text);
	if (!line) {
		replica->unlogged++;
		return;
	}
	replica->unlogged = 0;
	lunatik_event_log(replica, line);
}

int lunatik_run_failed(struct lunatik_replica *replica, struct lunatik_run *run, lua_State *L,
		       int status, const char *what)
{
	int err = count_failure(replica, run, status);
	const char *message;
	size_t len;

	message = message_of(L, &len);
	if (!is_reported(run, status))
		forget_failure(&run->failure);
	if (__ratelimit(&replica->log_limit)) {
		log_failure(replica, &run->failure, message, len, what);
		lunatik_event_failed(replica, -err, message, len);
	} else {
		replica->unlogged++;
	}
	forget_failure(&run->failure);
	run->error = 0;
	run->reported = false;
	run->ended = false;
	return err;
}

static void begin(struct lunatik_replica *replica, struct lunatik_run *run)
{
	run->error = 0;
	run->reported = false;
	run->ended = false;
	replica->runs++;
}

static bool may_begin_next(const struct lunatik_state *state, const struct lunatik_run *run,
			   u64 now)
{
	return now < run->started + LUNATIK_BATCH_TIME * NSEC_PER_USEC && now < run->limit &&
	       !READ_ONCE(state->closing) && !fatal_signal_pending(current);
}

bool lunatik_run_begin_next(struct lunatik_replica *replica, struct lunatik_run *run)
{
	struct lunatik_deadline *deadline = &replica->deadline;
	u64 now = ktime_get_ns();

	/* Where packets wait, and where each goes to several replicas, one at a time. */
	if (deadline->guard.atomic || replica->state->nreplicas > 1 ||
	    !may_begin_next(replica->state, run, now))
		return false;
	lunatik_run_forget(run);
	if (!lunatik_reply_next(run->reply))
		return false;
	run->begun++;
	begin(replica, run);
	lunatik_deadline_restart(deadline, min(now + (u64)deadline->timeout * NSEC_PER_USEC,
					       run->limit));
	return true;
}

/* One call of the body, with what it takes to report and to survive its errors. */
static int call(struct lunatik_replica *replica, struct lunatik_run *run)
{
	lua_State *L = replica->L;
	int err, status;

	lua_pushcfunction(L, lunatik_run_on_error);
	lua_pushcfunction(L, run->body);
	lua_pushlightuserdata(L, run);
	status = lua_pcall(L, 1, 0, 1);
	err = finish(replica, run, status);
	lua_settop(L, 0);
	/* The collections of an emergency leave Lua's stack as large as it became. */
	if (status == LUA_ERRMEM)
		lua_gc(L, LUA_GCCOLLECT);
	return err;
}

/* The answer of several that failed is told so. */
static int answer(struct lunatik_run *run, int err)
{
	if (!err || !run->reply || !run->reply->several)
		return err;
	lunatik_reply_failed(run->reply, err);
	run->reported = false;
	return 0;
}

static void attach(struct lunatik_replica *replica, struct lunatik_run *run)
{
	replica->run = run;
	if (run->reply)
		run->reply->guard = &replica->deadline.guard;
	begin(replica, run);
}

static void detach(struct lunatik_replica *replica, struct lunatik_run *run, u64 ns)
{
	replica->run_time += ns;
	replica->run = NULL;
	if (run->reply)
		run->reply->guard = &lunatik_guard_none;
}

/* All of them in a state that has one replica and sleeps. */
static int run_process(struct lunatik_replica *replica, struct lunatik_run *run, u64 now, u64 end,
		       u32 timeout)
{
	int err;

	run->may_sleep = true;
	run->started = now;
	run->begun = 1;
	attach(replica, run);
	lunatik_deadline_enter(&replica->deadline, replica->L, now, end, timeout);
	lua_settop(replica->L, 0);
	do
		err = answer(run, call(replica, run));
	while (lunatik_run_next(replica, run));
	lunatik_deadline_leave(&replica->deadline);
	detach(replica, run, ktime_get_ns() - replica->deadline.begin);
	return err;
}

/* One of them in one replica, that packets do not meet. */
static int run_held(struct lunatik_replica *replica, struct lunatik_run *run, u64 now, u64 end,
		    u32 timeout)
{
	int err;

	attach(replica, run);
	lunatik_deadline_enter(&replica->deadline, replica->L, now, end, timeout);
	lua_settop(replica->L, 0);
	err = call(replica, run);
	lunatik_deadline_leave(&replica->deadline);
	detach(replica, run, ktime_get_ns() - replica->deadline.begin);
	return err;
}

/* From here on packets wait, for whatever there is on this CPU. */
static void lock_bound(struct lunatik_replica *replica, struct lunatik_run *run)
{
	local_bh_disable();
	run->taken = lunatik_clock();
	spin_lock(&replica->lock);
}

static void unlock_bound(struct lunatik_replica *replica, struct lunatik_run *run)
{
	lunatik_share_charge_requests(replica->state->lnet, lunatik_clock() - run->taken);
	spin_unlock_bh(&replica->lock);
}

/* Likewise, when the namespace's requests have a share of this CPU left. */
static int lock_bound_in_turn(struct lunatik_replica *replica, struct lunatik_run *run, u64 end)
{
	struct lunatik_state *state = replica->state;
	u64 rest;
	int err;

	for (;;) {
		local_bh_disable();
		rest = lunatik_share_requests_rest(state->lnet);
		if (!rest)
			break;
		local_bh_enable();
		err = lunatik_state_rest(state, ktime_get_ns() + lunatik_clock_ns(rest), end);
		if (err)
			return err;
	}
	lock_bound(replica, run);
	local_bh_enable();
	return 0;
}

/* One of them in one replica, while packets that meet it wait. */
static int run_bound(struct lunatik_replica *replica, struct lunatik_run *run, u64 end)
{
	int err = lock_bound_in_turn(replica, run, end);

	if (err)
		return err;
	attach(replica, run);
	lunatik_deadline_enter_atomic(&replica->deadline, replica->L,
				      lunatik_clock_of_us(run->hold), run->hold);
	lua_settop(replica->L, 0);
	err = call(replica, run);
	lunatik_deadline_leave_atomic(&replica->deadline);
	detach(replica, run, lunatik_clock_ns(lunatik_clock() - replica->deadline.begin));
	unlock_bound(replica, run);
	return err;
}

/* What another replica made of a run becomes the answer of all. */
static void answer_with(struct lunatik_run *run, const struct lunatik_failure *failure)
{
	struct lunatik_reply *reply = run->reply;

	lunatik_reply_reset(reply);
	run->reported = failure->text &&
			!lunatik_reply_put(reply, LUNATIK_A_ERROR, failure->text,
					   failure->message_len);
	if (run->reported && failure->len > failure->message_len)
		lunatik_reply_put(reply, LUNATIK_A_TRACEBACK,
				  failure->text + failure->message_len + 1,
				  failure->len - failure->message_len - 1);
}

/* Says where an error came from, if there is memory to. */
static void place_failure(struct lunatik_failure *failure, unsigned int cpu)
{
	char place[PLACE_MAX];
	size_t at = scnprintf(place, sizeof(place), "cpu %u: ", cpu);
	char *text;

	if (!failure->text)
		return;
	text = kmalloc(at + failure->len, LUNATIK_GFP_KERNEL);
	if (!text)
		return;
	memcpy(text, place, at);
	memcpy(text + at, failure->text, failure->len);
	kfree(failure->text);
	failure->text = text;
	failure->message_len += at;
	failure->len += at;
}

static int run_in(struct lunatik_replica *replica, struct lunatik_run *run, bool bound, u64 now,
		  u64 end, u32 timeout)
{
	return bound ? run_bound(replica, run, end) : run_held(replica, run, now, end, timeout);
}

/*
 * One of them in each replica, last in that of this CPU, whose results are the
 * answer unless one of the others failed.
 */
static int run_everywhere(struct lunatik_state *state, struct lunatik_run *run, bool bound,
			  u64 now, u64 end, u32 timeout)
{
	struct lunatik_reply *reply = run->reply;
	struct lunatik_failure first = {};
	unsigned int i, here;
	int err = 0, other;

	if (state->nreplicas == 1)
		return run_in(&state->replicas[0], run, bound, now, end, timeout);

	here = raw_smp_processor_id();
	for (i = 0; i < state->nreplicas; i++) {
		if (i == here || !state->replicas[i].L)
			continue;
		run->reply = NULL;
		other = run_in(&state->replicas[i], run, bound, now, end, timeout);
		if (bound)
			end = U64_MAX;	/* what one of them did the others do */
		else
			now = ktime_get_ns();
		if (!err && other) {
			err = other;
			first = run->failure;
			run->failure.text = NULL;
			place_failure(&first, i);
		}
		forget_failure(&run->failure);
	}
	run->reply = reply;
	other = run_in(&state->replicas[here], run, bound, now, end, timeout);
	if (err && !other)
		answer_with(run, &first);
	forget_failure(&first);
	return other ?: err;
}

/* Packets do not meet the state's replicas: it is as one that may sleep. */
static void hold(struct lunatik_state *state, bool held)
{
	struct lunatik_replica *replica;

	for (replica = state->replicas; replica < state->replicas + state->nreplicas; replica++) {
		if (!replica->L)
			continue;
		spin_lock_bh(&replica->lock);
		replica->held = held;
		if (!held)
			lunatik_timers_catch_up(replica);
		spin_unlock_bh(&replica->lock);
	}
}

static int run_softirq(struct lunatik_state *state, struct lunatik_run *run, u64 now, u64 end,
		       u32 timeout)
{
	bool bound = lunatik_state_bound(state);
	int err;

	run->may_sleep = true;
	run->started = now;
	if (bound && run->prepare) {
		err = run->prepare(state, run, now, end, timeout);
		if (err)
			return err;
	}
	if (!bound)
		hold(state, true);
	run->timeout = timeout;
	for (run->begun = 1;; run->begun++) {
		run->end = end;
		err = answer(run, run_everywhere(state, run, bound, now, end, timeout));
		if (run->begun == run->count)
			break;
		now = ktime_get_ns();
		end = min(now + (u64)timeout * NSEC_PER_USEC, run->limit);
		if (!may_begin_next(state, run, now) || !lunatik_reply_next(run->reply))
			break;
	}
	lunatik_hooks_reap(state);
	if (!bound)
		hold(state, false);
	return err;
}

int lunatik_run(struct lunatik_state *state, struct lunatik_run *run, u64 now, u64 end,
		u32 timeout)
{
	int err = lunatik_state_lock(state, end, &now);

	if (err)
		return err;
	if (state->context == LUNATIK_CONTEXT_SOFTIRQ)
		err = run_softirq(state, run, now, end, timeout);
	else
		err = run_process(&state->replicas[0], run, now, end, timeout);
	lunatik_state_unlock(state);
	return err;
}

int lunatik_run_callback(struct lunatik_state *state, struct lunatik_run *run)
{
	u64 now;
	int err = lunatik_state_lock(state, U64_MAX, &now);

	if (err)
		return err;
	now = ktime_get_ns();
	err = run_process(&state->replicas[0], run, now,
			  now + (u64)state->timeout * NSEC_PER_USEC, state->timeout);
	lunatik_state_unlock(state);
	return err;
}

/* What came of a run apart is the state's. */
static void add_figures(struct lunatik_replica *to, const struct lunatik_replica *from)
{
	lunatik_replica_lock(to);
	to->runs += from->runs;
	to->errors += from->errors;
	to->deadline_kills += from->deadline_kills;
	to->run_time += from->run_time;
	spin_unlock_bh(&to->lock);
}

int lunatik_run_apart(struct lunatik_state *state, struct lunatik_run *run, u64 now, u64 end,
		      u32 timeout)
{
	struct lunatik_replica *replica = kzalloc(sizeof(*replica), GFP_KERNEL_ACCOUNT);
	int err;

	if (!replica)
		return -ENOMEM;
	err = lunatik_replica_init(replica, state, state->max_alloc, sizeof(*replica));
	if (!err) {
		err = run_held(replica, run, now, end, timeout);
		if (err)
			add_figures(&state->replicas[0], replica);
		lunatik_replica_uninit(replica, sizeof(*replica));
	}
	kfree(replica);
	return err;
}

bool lunatik_run_pause(lua_State *L, struct lunatik_pause *pause)
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	struct lunatik_deadline *deadline = &replica->deadline;
	u64 now;

	if (!replica->run->may_sleep)
		return false;
	pause->run = replica->run;
	pause->L = L;
	pause->timeout = deadline->timeout;
	pause->atomic = deadline->guard.atomic;
	pause->attention = READ_ONCE(deadline->guard.attention);
	if (!pause->atomic) {
		pause->begin = deadline->begin;
		pause->end = deadline->end;
		lunatik_deadline_leave(deadline);
		return true;
	}
	now = lunatik_clock();
	pause->left = lunatik_deadline_left(deadline, now);
	lunatik_deadline_leave_atomic(deadline);
	replica->run_time += lunatik_clock_ns(now - deadline->begin);
	replica->run = NULL;
	unlock_bound(replica, pause->run);
	return true;
}

/* Packets do not wait meanwhile, but the caller does. */
void lunatik_run_resume(struct lunatik_replica *replica, const struct lunatik_pause *pause)
{
	bool late;

	if (!pause->atomic) {
		lunatik_deadline_enter(&replica->deadline, pause->L, pause->begin, pause->end,
				       pause->timeout);
		lunatik_deadline_remember(&replica->deadline, pause->attention,
					  ktime_get_ns() >= pause->end);
		return;
	}
	late = ktime_get_ns() >= pause->run->end;
	lock_bound(replica, pause->run);
	replica->run = pause->run;
	lunatik_deadline_enter_atomic(&replica->deadline, pause->L, pause->left,
				      late ? pause->run->timeout : pause->timeout);
	lunatik_deadline_remember(&replica->deadline, pause->attention, late || !pause->left);
}
