/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Timers: functions of a state's script that are called when it is time. In softirq
 * states that is at once, in softirq context; in process states by a worker.
 */
#ifndef LUNATIK_TIMER_H
#define LUNATIK_TIMER_H

#include <linux/list.h>
#include <linux/types.h>

#include "lua/lunatik_lua.h"

struct lunatik_net;
struct lunatik_replica;
struct lunatik_state;
struct lunatik_timer;

/* What a replica has of them: by whoever runs it. */
struct lunatik_timers {
	struct list_head list;	/* those that have yet to fire */
	unsigned int count;
};

void lunatik_timers_init(struct lunatik_timers *timers);

/* Lets none fire any more. The state has no users. May sleep. */
void lunatik_timers_stop(struct lunatik_state *state);

/* Starts those that came while the replica was held. Its lock is held. */
void lunatik_timers_catch_up(struct lunatik_replica *replica);

/* Of a process state's: does what they ask for, in a worker of its namespace. */
void lunatik_timers_init_state(struct lunatik_state *state);

/*
 * Pops the function on top of the stack and pushes a handle of a timer that calls it
 * in `ms` milliseconds and, if told so, then every time they have passed again.
 * Raises errors.
 */
void lunatik_timer_push(lua_State *L, u64 ms, bool again);

#endif
