// SPDX-License-Identifier: GPL-2.0-only
#include <linux/errno.h>
#include <linux/sched/signal.h>
#include <linux/ktime.h>
#include <uapi/linux/lunatik.h>

#include "event.h"
#include "reply.h"
#include "run.h"
#include "state.h"

static void report(struct lunatik_run *run, const char *message, size_t len,
		   const char *traceback, size_t traceback_len)
{
	static const char too_long[] = "error message too long";

	if (run->reported || !run->reply)
		return;
	run->reported = true;
	if (len > LUNATIK_STRING_MAX) {
		message = too_long;
		len = sizeof(too_long) - 1;
	}
	lunatik_reply_reset(run->reply);
	/* Without memory for the text the error number has to do. */
	if (lunatik_reply_put(run->reply, LUNATIK_A_ERROR, message, len))
		return;
	if (traceback && traceback_len <= LUNATIK_STRING_MAX)
		lunatik_reply_put(run->reply, LUNATIK_A_TRACEBACK, traceback, traceback_len);
}

void lunatik_run_report(lua_State *L)
{
	struct lunatik_run *run = lunatik_state_of(L)->run;
	size_t len, traceback_len;
	const char *message, *traceback;

	if (run->reported)
		return;
	luaL_checkstack(L, LUA_MINSTACK, NULL);
	message = luaL_tolstring(L, -1, &len);
	if (run->error == -ENOEXEC) {
		report(run, message, len, NULL, 0);
		lua_pop(L, 1);
		return;
	}
	luaL_traceback(L, L, NULL, 1);
	traceback = lua_tolstring(L, -1, &traceback_len);
	report(run, message, len, traceback, traceback_len);
	lua_pop(L, 2);
}

/* The message handler of every run. */
static int on_error(lua_State *L)
{
	lunatik_run_report(L);
	return 1;
}

int lunatik_run_fail(lua_State *L, int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	lua_pushvfstring(L, fmt, args);
	va_end(args);
	lunatik_state_of(L)->run->error = error;
	return lua_error(L);
}

static int why(struct lunatik_state *state, struct lunatik_run *run, int status)
{
	int err = lunatik_deadline_error(&state->deadline);

	if (err)
		return err;
	if (status == LUA_ERRMEM)
		return -ENOMEM;
	return run->error ?: -EREMOTEIO;
}

static int finish(struct lunatik_state *state, struct lunatik_run *run, int status)
{
	lua_State *L = state->L;
	size_t len = 0;
	const char *message = NULL;
	int err;

	if (status == LUA_OK)
		return 0;
	err = why(state, run, status);
	/* Not converted: that would need memory, and this is outside protected mode. */
	if (lua_type(L, -1) == LUA_TSTRING)
		message = lua_tolstring(L, -1, &len);
	if (!message) {
		message = "error object is not a string";
		len = strlen(message);
	}
	report(run, message, len, NULL, 0);
	state->errors++;
	if (err == -ETIME)
		state->deadline_kills++;
	lunatik_event_failed(state, -err, message, len);
	return err;
}

int lunatik_run(struct lunatik_state *state, struct lunatik_run *run, u32 timeout)
{
	u64 end = ktime_get_ns() + (u64)timeout * NSEC_PER_USEC;
	lua_State *L = state->L;
	int err, status;

	err = lunatik_state_lock(state, end);
	if (err)
		return err;

	run->error = 0;
	run->reported = false;
	state->run = run;
	lunatik_deadline_enter(&state->deadline, L, end);
	lua_settop(L, 0);
	lua_pushcfunction(L, on_error);
	lua_pushcfunction(L, run->body);
	lua_pushlightuserdata(L, run);
	status = lua_pcall(L, 1, 0, 1);
	lunatik_deadline_leave(&state->deadline);

	state->runs++;
	state->run_time += ktime_get_ns() - state->deadline.begin;
	err = finish(state, run, status);
	lua_settop(L, 0);
	state->run = NULL;
	lunatik_state_unlock(state);
	return err;
}
