/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A replica: one Lua environment of a state. Most states have one; those that
 * were made with PERCPU have one for each CPU.
 */
#ifndef LUNATIK_REPLICA_H
#define LUNATIK_REPLICA_H

#include <linux/cache.h>
#include <linux/prandom.h>
#include <linux/ratelimit_types.h>
#include <linux/spinlock.h>

#include "bpf_call.h"
#include "deadline.h"
#include "heap.h"
#include "log.h"
#include "run.h"
#include "timer.h"

struct lunatik_packet;
struct lunatik_state;

struct lunatik_replica {
	struct lunatik_deadline deadline;
	struct lunatik_heap heap;
	struct lunatik_log_share logged;
	struct lunatik_state *state;

	/*
	 * Softirq states: by whoever runs the replica, unless it is held by who may
	 * sleep and so has the state's run lock only. All below is theirs.
	 */
	spinlock_t lock;
	bool held;			/* lock */
	lua_State *L;			/* of requests */
	lua_State *callbacks;		/* of packets and timers; NULL without any yet */
	struct lunatik_run *run;
	struct lunatik_run callback;	/* a packet's or timer's */
	struct lunatik_packet *packet;	/* in hand, if there is one */
	u64 token;			/* its light userdata; in between another number */
	struct lunatik_timers timers;
	struct list_head objects;	/* struct lunatik_object */
	struct lunatik_bpf_call call;	/* of a program by a script */
	struct rnd_state random;	/* math.random() */
	u64 runs;
	u64 errors;
	u64 deadline_kills;
	u64 run_time;			/* ns */
	u64 unlogged;			/* failures of callbacks since one was logged */
	struct ratelimit_state log_limit;
} ____cacheline_aligned_in_smp;

static inline struct lunatik_replica *lunatik_replica_of(const lua_State *L)
{
	return container_of(lunatik_guard(L), struct lunatik_replica, deadline.guard);
}

static inline struct lunatik_state *lunatik_state_of(const lua_State *L)
{
	return lunatik_replica_of(L)->state;
}

/*
 * Makes the Lua environment, which has max_alloc bytes of which `own` are in use
 * already. The replica is zeroed memory. May sleep. -ENOMEM, or -EDQUOT when the
 * namespace's quota is used up.
 */
int lunatik_replica_init(struct lunatik_replica *replica, struct lunatik_state *state,
			 u32 max_alloc, size_t own);
void lunatik_replica_uninit(struct lunatik_replica *replica, size_t own);

/*
 * Locks it for a request, in process context, with bottom halves disabled. Where packets
 * have it, the wait is charged to the namespace's requests.
 */
void lunatik_replica_lock(struct lunatik_replica *replica);

/*
 * Waits for the lock of a replica that is in use, as long as `most` (ticks) at the most:
 * false without it. BH disabled.
 */
bool lunatik_replica_wait(struct lunatik_replica *replica, u64 most);

#endif
