// SPDX-License-Identifier: GPL-2.0-only
#include <linux/errno.h>
#include <linux/sched/signal.h>
#include <linux/ktime.h>
#include <uapi/linux/lunatik.h>

#include "event.h"
#include "reply.h"
#include "run.h"
#include "stack.h"
#include "state.h"
#include "traceback.h"

static void report(struct lunatik_run *run, const char *message, size_t len)
{
	static const char too_long[] = "error message too long";

	if (len > LUNATIK_STRING_MAX) {
		message = too_long;
		len = sizeof(too_long) - 1;
	}
	lunatik_reply_reset(run->reply);
	/* Without memory for the text the error number has to do. */
	run->reported = !lunatik_reply_put(run->reply, LUNATIK_A_ERROR, message, len);
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

	report(run, message, len);
	if (run->reported)
		lunatik_traceback(L, 0, run->reply);
	run->ended = true;
}

/*
 * The message handler of every run. Lua calls it for some errors within load(),
 * too, which are values then: what it reports is not final.
 */
static int on_error(lua_State *L)
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
	report(run, message, len);
	if (run->reported)
		lunatik_traceback(L, 1, run->reply);
	lua_settop(L, 1);
	return 1;
}

struct lunatik_reply *lunatik_run_reply(struct lunatik_run *run)
{
	if (run->reported)
		lunatik_reply_reset(run->reply);
	run->reported = false;
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

/* Whether the reply holds the very error that the run ended in. */
static bool is_reported(const struct lunatik_run *run, int status)
{
	return run->ended || (run->reported && !run->error && status == LUA_ERRRUN);
}

/* What was reported and caught later is of no interest to who succeeds. */
static void forget_caught(struct lunatik_run *run)
{
	if (run->reported)
		lunatik_reply_reset(run->reply);
	run->reported = false;
}

static int finish(struct lunatik_replica *replica, struct lunatik_run *run, int status)
{
	static const char no_text[] = "(error object is not a string)";
	lua_State *L = replica->L;
	const char *message = no_text;
	size_t len = sizeof(no_text) - 1;
	int err;

	if (status == LUA_OK) {
		forget_caught(run);
		return 0;
	}
	err = why(replica, run, status);
	/* Not converted: that would need memory, and this is outside protected mode. */
	if (lua_type(L, -1) == LUA_TSTRING)
		message = lua_tolstring(L, -1, &len);
	if (!is_reported(run, status))
		report(run, message, len);
	replica->errors++;
	if (err == -ETIME)
		replica->deadline_kills++;
	lunatik_event_failed(replica->state, &replica->deadline.guard, -err, message, len);
	if (!run->reply->several)
		return err;
	lunatik_reply_failed(run->reply, err);
	run->reported = false;
	return 0;
}

static void begin(struct lunatik_replica *replica, struct lunatik_run *run)
{
	run->error = 0;
	run->reported = false;
	run->ended = false;
	run->begun++;
	replica->runs++;
}

bool lunatik_run_begin_next(struct lunatik_replica *replica, struct lunatik_run *run)
{
	struct lunatik_deadline *deadline = &replica->deadline;
	u64 now = ktime_get_ns();

	if (now >= deadline->begin + LUNATIK_BATCH_TIME * NSEC_PER_USEC ||
	    now >= run->limit || READ_ONCE(replica->state->closing) || fatal_signal_pending(current))
		return false;
	forget_caught(run);
	if (!lunatik_reply_next(run->reply))
		return false;
	begin(replica, run);
	lunatik_deadline_restart(deadline, min(now + (u64)deadline->timeout * NSEC_PER_USEC,
					       run->limit));
	return true;
}

static int run_in(struct lunatik_replica *replica, struct lunatik_run *run, u64 now, u64 end,
		  u32 timeout)
{
	lua_State *L = replica->L;
	int err, status;

	replica->run = run;
	run->reply->guard = &replica->deadline.guard;
	begin(replica, run);
	lunatik_deadline_enter(&replica->deadline, L, now, end, timeout);
	lua_settop(L, 0);
	do {
		lua_pushcfunction(L, on_error);
		lua_pushcfunction(L, run->body);
		lua_pushlightuserdata(L, run);
		status = lua_pcall(L, 1, 0, 1);
		err = finish(replica, run, status);
		lua_settop(L, 0);
		/* The collections of an emergency leave Lua's stack as large as it became. */
		if (status == LUA_ERRMEM)
			lua_gc(L, LUA_GCCOLLECT);
	} while (lunatik_run_next(replica, run));
	lunatik_deadline_leave(&replica->deadline);

	replica->run_time += ktime_get_ns() - replica->deadline.begin;
	replica->run = NULL;
	return err;
}

int lunatik_run(struct lunatik_state *state, struct lunatik_run *run, u64 now, u64 end,
		u32 timeout)
{
	int err = lunatik_state_lock(state, end, &now);

	if (err)
		return err;
	err = run_in(&state->replicas[0], run, now, end, timeout);
	lunatik_state_unlock(state);
	return err;
}
