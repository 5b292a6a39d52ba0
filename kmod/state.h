/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_STATE_H
#define LUNATIK_STATE_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <uapi/linux/lunatik.h>

#include "hook.h"
#include "log.h"
#include "outbox.h"
#include "replica.h"

struct lunatik_net;

struct lunatik_state {
	struct lunatik_net *lnet;
	struct lunatik_log log;
	u32 id;
	u32 flags;			/* enum lunatik_flag */
	u32 context;			/* enum lunatik_context */
	u32 max_alloc;			/* of each replica, bytes */
	u32 timeout;			/* default deadline, microseconds */
	u64 timeout_ticks;		/* the same by lunatik_clock() */
	u64 created;			/* ns since the epoch */
	char name[LUNATIK_STATE_NAME_MAX + 1];

	refcount_t users;		/* the tables count as one */
	bool closing;			/* set under lnet->lock; never cleared */
	bool no_bpf;			/* see object.h; never cleared */

	unsigned long locked;		/* bit 0: the run lock */
	wait_queue_head_t waiters;

	struct list_head refs;		/* lnet->lock: sessions' holds; none when unlinked */
	u32 nrefs;			/* lnet->lock: held in all */
	spinlock_t subscribers_lock;
	struct list_head subscribers;	/* subscribers_lock */
	u32 nsubscribers;		/* subscribers_lock */
	atomic64_t sent;		/* lunatik.send() calls */
	struct lunatik_outbox outbox;

	struct lunatik_hooks hooks;
	struct work_struct fire;	/* process states' timers */

	struct rhash_head by_name;
	struct rcu_head rcu;

	unsigned int nreplicas;
	struct lunatik_replica replicas[];
};

/* Whether packets or timers may run it. Does not become true while the run lock is held. */
bool lunatik_state_bound(const struct lunatik_state *state);

/* Makes a state that nobody sees yet. May sleep. An ERR_PTR on failure. */
struct lunatik_state *lunatik_state_new(struct lunatik_net *lnet, const char *name, u32 max_alloc,
					u32 flags, u32 context, u32 timeout);

/*
 * Puts a new state into its namespace's tables, where it is found by name and
 * id. Under lnet->lock. -EEXIST, -EDQUOT or -ENOMEM.
 */
int lunatik_state_link(struct lunatik_state *state);

/*
 * Takes the state out of the tables and ends its run, if one is under way.
 * Under lnet->lock; drops the references that sessions hold. The caller then
 * drops the tables' use, after the lock.
 */
void lunatik_state_unlink(struct lunatik_state *state);

/* Each gives the caller a use of the state, or NULL. Any context. */
struct lunatik_state *lunatik_state_by_name(struct lunatik_net *lnet, const char *name);
struct lunatik_state *lunatik_state_by_id(struct lunatik_net *lnet, u32 id);

/* Drops a use; the last one frees the state. May sleep. */
void lunatik_state_put(struct lunatik_state *state);

/*
 * Waits for other runs to end, until `end` (ns, CLOCK_MONOTONIC) or a fatal
 * signal. It is taken with no other lock of the module held and never for two
 * states at once. *now is brought up to date if there was a wait. -ETIME, -EINTR
 * or, when the state is being closed, -ESHUTDOWN.
 */
int lunatik_state_lock(struct lunatik_state *state, u64 end, u64 *now);
void lunatik_state_unlock(struct lunatik_state *state);

/*
 * Sleeps until `then`, with the run lock held. -ETIME when that is later than `end` (both
 * ns, CLOCK_MONOTONIC), at once; -EINTR or -ESHUTDOWN as above.
 */
int lunatik_state_rest(struct lunatik_state *state, u64 then, u64 end);

/* Closes every state of a namespace that nobody uses any more. */
void lunatik_state_close_all(struct lunatik_net *lnet);

/* Ends every run in every namespace, for the module is to go. */
void lunatik_state_stop_all(void);

int lunatik_state_init(void);
void lunatik_state_uninit(void);

#endif
