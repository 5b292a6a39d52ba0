/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A run: one call into a state's Lua on behalf of someone, under the state's
 * lock and its deadline, with errors and their traceback reported. Several that
 * were asked for at once share the lock.
 */
#ifndef LUNATIK_RUN_H
#define LUNATIK_RUN_H

#include "lua/lunatik_lua.h"

struct lunatik_replica;
struct lunatik_reply;
struct lunatik_state;

struct lunatik_run {
	/*
	 * Gets the run as light userdata; called in protected mode. When it has
	 * raised an error it is called again for the next of several.
	 */
	lua_CFunction body;
	/* Takes ERROR and TRACEBACK when the run fails. */
	struct lunatik_reply *reply;
	unsigned int count;	/* how many */
	u64 limit;		/* when all of them end at the latest (ns, CLOCK_MONOTONIC) */
	unsigned int begun;
	/* Set by body before it raises: what the failure is called, if not EREMOTEIO. */
	int error;
	bool reported;	/* the reply holds an error, maybe one that was caught since */
	bool ended;	/* and is the deadline's: no other replaces it */
};

/*
 * now, end: the time and when the run ends at the latest, waiting for other runs
 * in the same state included (ns, CLOCK_MONOTONIC); timeout: what that was called
 * when it was asked for (microseconds). Process context, may sleep. 0 or a
 * negative errno. Of several, the first ends by `end` and those that follow
 * `timeout` after they began; reply has an answer for each of those that were
 * begun, and an error means that none was.
 */
int lunatik_run(struct lunatik_state *state, struct lunatik_run *run, u64 now, u64 end,
		u32 timeout);

/* For body: raises an error that is called errno. fmt as luaL_error() takes it. */
int lunatik_run_fail(lua_State *L, int error, const char *fmt, ...);

/* For body: the reply, empty, to put results into. */
struct lunatik_reply *lunatik_run_reply(struct lunatik_run *run);

/* For lunatik_run_next(). */
bool lunatik_run_begin_next(struct lunatik_replica *replica, struct lunatik_run *run);

/* For body, which has done what it had to: whether it shall do the next of several. */
static inline bool lunatik_run_next(struct lunatik_replica *replica, struct lunatik_run *run)
{
	return run->begun < run->count && lunatik_run_begin_next(replica, run);
}

/*
 * For the deadline: puts the error message on top of the stack, a string, and a
 * traceback into the reply. Raises nothing.
 */
void lunatik_run_end(lua_State *L);
bool lunatik_run_ended(const lua_State *L);

#endif
