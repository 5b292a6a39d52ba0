/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A run: one call into a replica's Lua on behalf of someone, under a lock and a
 * deadline, with errors and their traceback reported. Several that were asked for
 * at once share the lock.
 */
#ifndef LUNATIK_RUN_H
#define LUNATIK_RUN_H

#include "lua/lunatik_lua.h"

struct lunatik_replica;
struct lunatik_reply;
struct lunatik_state;

/* What is known of an error that no reply took. */
struct lunatik_failure {
	char *text;		/* message and traceback, or NULL; kmalloc() */
	size_t message_len;
	size_t len;
};

struct lunatik_run {
	/*
	 * Gets the run as light userdata; called in protected mode. When it has
	 * raised an error it is called again for the next of several.
	 */
	lua_CFunction body;
	/*
	 * What to do, if anything, before a state is locked that packets wait for.
	 * now, end, timeout as for lunatik_run().
	 */
	int (*prepare)(struct lunatik_state *state, struct lunatik_run *run, u64 now, u64 end,
		       u32 timeout);
	/* Takes results, and ERROR and TRACEBACK when the run fails; or NULL. */
	struct lunatik_reply *reply;
	struct lunatik_failure failure;	/* without a reply */
	const char *what;	/* without a reply: errors are logged as this one's; or NULL */
	u32 hold;		/* how long packets may have to wait (microseconds) */
	unsigned int count;	/* how many */
	u64 limit;		/* when all of them end at the latest (ns, CLOCK_MONOTONIC) */
	u64 started;		/* when the first began (likewise) */
	u64 end;		/* where packets wait: when the one under way ends (likewise) */
	u64 taken;		/* and since when they do (lunatik_clock()) */
	u32 timeout;		/* and what that is called (microseconds) */
	unsigned int begun;
	/* Set by body before it raises: what the failure is called, if not EREMOTEIO. */
	int error;
	bool reported;	/* an error is, maybe one that was caught since */
	bool ended;	/* and is the deadline's: no other replaces it */
	bool may_sleep;	/* the run's caller may */
};

/*
 * Runs it in the state, of replicas in each. now, end: the time and when the run
 * ends at the latest, waiting for other runs in the same state included (ns,
 * CLOCK_MONOTONIC); timeout: what that was called when it was asked for
 * (microseconds). Process context, may sleep. 0 or a negative errno. Of several,
 * the first ends by `end` and those that follow `timeout` after they began; reply
 * has an answer for each of those that were begun, and an error means that none was.
 */
int lunatik_run(struct lunatik_state *state, struct lunatik_run *run, u64 now, u64 end,
		u32 timeout);

/* Likewise, once and in an environment like the state's own that is then forgotten. */
int lunatik_run_apart(struct lunatik_state *state, struct lunatik_run *run, u64 now, u64 end,
		      u32 timeout);

/* Likewise, once, as long as the state's deadline allows, when its time has come. Process states only. */
int lunatik_run_callback(struct lunatik_state *state, struct lunatik_run *run);

/* For body: raises an error that is called errno. fmt as luaL_error() takes it. */
int lunatik_run_fail(lua_State *L, int error, const char *fmt, ...);

/* For body: the reply, empty, to put results into; NULL when nobody wants them. */
struct lunatik_reply *lunatik_run_reply(struct lunatik_run *run);

/* For lunatik_run_next(). */
bool lunatik_run_begin_next(struct lunatik_replica *replica, struct lunatik_run *run);

/* For body, which has done what it had to: whether it shall do the next of several. */
static inline bool lunatik_run_next(struct lunatik_replica *replica, struct lunatik_run *run)
{
	return run->begun < run->count && lunatik_run_begin_next(replica, run);
}

/* The message handler of every run. */
int lunatik_run_on_error(lua_State *L);

/*
 * After a call failed in a run without a reply: takes the error from the top of
 * L's stack, counts it, logs it unless there are too many, and tells who listens.
 * what: where it came from. The errno.
 */
int lunatik_run_failed(struct lunatik_replica *replica, struct lunatik_run *run, lua_State *L,
		       int status, const char *what);

/*
 * For a library function that has to sleep: lets go of the lock that forbids it,
 * and so lets packets in, and of the CPU, for which somebody may wait who has what
 * the function waits for. False, and nothing has changed, when the run may not
 * sleep. Nothing of Lua's may be used until lunatik_run_resume().
 */
struct lunatik_pause {
	struct lunatik_run *run;
	lua_State *L;
	u64 begin;	/* of one that may sleep: the deadline's, as end */
	u64 end;
	u64 left;	/* of others, of what packets wait for; by lunatik_clock() */
	unsigned long attention;
	u32 timeout;	/* microseconds, for the error's text */
	bool atomic;
};

bool lunatik_run_pause(lua_State *L, struct lunatik_pause *pause);
void lunatik_run_resume(struct lunatik_replica *replica, const struct lunatik_pause *pause);

/* What was reported and caught later is of no interest to who succeeds. */
void lunatik_run_forget(struct lunatik_run *run);

/*
 * For the deadline: puts the error message on top of the stack, a string, and a
 * traceback into the reply. Raises nothing.
 */
void lunatik_run_end(lua_State *L);
bool lunatik_run_ended(const lua_State *L);

#endif
