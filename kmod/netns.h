/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_NETNS_H
#define LUNATIK_NETNS_H

#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>

#define LUNATIK_SESSION_BITS	6

struct lunatik_image;
struct lunatik_shares;
struct workqueue_struct;

/* What one network namespace has. */
struct lunatik_net {
	struct net *net;
	struct mutex lock;	/* for all below that says so; may sleep under it */
	struct lunatik_image *image;	/* of a fresh state; set once, by the first */
	struct lunatik_shares __percpu *shares;	/* what it had of each CPU */
	struct workqueue_struct *timers;	/* runs process states'; made by the first */
	struct workqueue_struct *messages;	/* sends softirq states'; made by the first */
	u64 flushes_paid_off;	/* when those of states that close will be (ns, CLOCK_MONOTONIC) */
	struct xarray states;	/* by id; changed under lock, read under RCU */
	u32 next_id;		/* lock */
	u32 nstates;		/* lock to change */
	u32 generation;		/* lock; changes with the set of states, never 0 */
	/*
	 * Taken under RTNL by who takes a device away, so that RTNL is never taken under
	 * it. Under it come hooks.lock of states.
	 */
	struct mutex device_lock;
	struct list_head device_hooks;	/* device_lock */
	atomic64_t charged;	/* bytes of all states, and of replies and messages that wait */
	DECLARE_HASHTABLE(sessions, LUNATIK_SESSION_BITS);	/* lock */
};

struct lunatik_net *lunatik_net(const struct net *net);

/* Counts bytes against the namespace's quota; false when it has no room for them. Any context. */
bool lunatik_netns_charge(struct lunatik_net *lnet, u32 bytes);
void lunatik_netns_uncharge(struct lunatik_net *lnet, u32 bytes);

/*
 * Makes one of the namespace's workers, unless it is there: one thread, and so one CPU's
 * time at most, for all of its states. It goes with the namespace. May sleep. -ENOMEM.
 */
int lunatik_netns_make_worker(struct workqueue_struct **worker);

int lunatik_netns_init(void);
void lunatik_netns_uninit(void);

#endif
