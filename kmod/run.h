/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A run: one call into a state's Lua on behalf of someone, under the state's
 * lock and its deadline, with errors and their traceback reported.
 */
#ifndef LUNATIK_RUN_H
#define LUNATIK_RUN_H

#include "lua/lunatik_lua.h"

struct lunatik_reply;
struct lunatik_state;

struct lunatik_run {
	/* Gets the run as light userdata; called in protected mode. */
	lua_CFunction body;
	/* Takes ERROR and TRACEBACK when the run fails. */
	struct lunatik_reply *reply;
	/* Set by body before it raises: what the failure is called, if not EREMOTEIO. */
	int error;
	bool reported;	/* the reply holds an error, maybe one that was caught since */
	bool ended;	/* and is the deadline's: no other replaces it */
};

/*
 * now, end: the time and when the run ends at the latest, waiting for other runs
 * in the same state included (ns, CLOCK_MONOTONIC); timeout: what that was called
 * when it was asked for (microseconds). Process context, may sleep. 0 or a
 * negative errno.
 */
int lunatik_run(struct lunatik_state *state, struct lunatik_run *run, u64 now, u64 end,
		u32 timeout);

/* For body: raises an error that is called errno. fmt as luaL_error() takes it. */
int lunatik_run_fail(lua_State *L, int error, const char *fmt, ...);

/* For body: the reply, empty, to put results into. */
struct lunatik_reply *lunatik_run_reply(struct lunatik_run *run);

/*
 * For the deadline: puts the error message on top of the stack, a string, and a
 * traceback into the reply. Raises nothing.
 */
void lunatik_run_end(lua_State *L);
bool lunatik_run_ended(const lua_State *L);

#endif
