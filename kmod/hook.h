/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hooks: functions of a state's script that the kernel calls for packets. Each
 * replica registers its own function; the kernel knows one hook of them all.
 */
#ifndef LUNATIK_HOOK_H
#define LUNATIK_HOOK_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/cache.h>
#include <linux/list.h>
#include <linux/netfilter.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <uapi/linux/lunatik.h>

#include "lua/lunatik_lua.h"

struct lunatik_net;
struct lunatik_packet;
struct lunatik_replica;
struct lunatik_state;
struct net_device;
struct sk_buff;

/* The verdicts that are counted: NF_*, XDP_* and TC_ACT_* as far as functions may give them. */
#define LUNATIK_VERDICTS	9

/* What one replica has of a hook. By whoever runs the replica. */
struct lunatik_slot {
	bool function;		/* there is one */
	bool joined;		/* hooks.lock; there is to be one */
	u64 calls;		/* of a sum: verdicts and errors */
	u64 errors;
	u64 deadline_kills;
	u64 run_time;		/* lunatik_clock() */
	u64 charge_at;		/* the run_time at which the share is charged for it next */
	u64 verdicts[LUNATIK_VERDICTS];
} ____cacheline_aligned_in_smp;

struct lunatik_hook {
	struct list_head list;		/* state->hooks.lock, as all up to `dead` */
	u64 id;				/* none of the state's ever has the same */
	unsigned int index;		/* none of the state's others has it */
	unsigned int live;		/* slots that are joined */
	bool dead;			/* it had some, or its device went; it is to go */
	struct lunatik_state *state;
	struct lunatik_replica *payer;	/* whose heap is charged for it */
	u32 kind;			/* enum lunatik_hook_kind */
	u32 on_error;			/* enum lunatik_on_error */
	bool of_device;			/* is ops.dev's, until that goes */
	struct list_head by_device;	/* lnet->device_lock; in lnet->device_hooks until then */
	struct nf_hook_ops ops;		/* of netfilter's; dev: device_lock and hooks.lock to change */
	atomic64_t missed;		/* packets that met a replica without a function or in use by who may sleep, a script, or no time left */
	char name[48];
	struct rcu_head rcu;
	struct lunatik_slot slots[];	/* by replica */
};

/* What a state has of them. */
struct lunatik_hooks {
	spinlock_t lock;		/* taken with bottom halves disabled; no lock within */
	struct list_head list;
	unsigned int count;
	u64 last_id;
	DECLARE_BITMAP(used, LUNATIK_HOOKS_MAX);	/* indexes */
	struct lunatik_hook __rcu *single[LUNATIK_HOOK_TC + 1];	/* of XDP and TC, of which there is one */
	u64 past_runs;			/* of hooks that are gone */
	u64 past_run_time;		/* lunatik_clock() */
	struct work_struct reap;
};

void lunatik_hooks_init(struct lunatik_hooks *hooks);

/*
 * Takes all hooks from the kernel and lets no callback into the state any more. The
 * state has no users. May sleep.
 */
void lunatik_hooks_stop(struct lunatik_state *state);

/* Takes those from the kernel that have no function left. The run lock is held; may sleep. */
void lunatik_hooks_reap(struct lunatik_state *state);

/* Adds what the state's hooks did to how often and how long (ns) it ran. */
void lunatik_hooks_add_figures(struct lunatik_state *state, u64 *runs, u64 *run_time);

/* Puts a HOOK for each into a message. -EMSGSIZE. */
int lunatik_hooks_put(struct lunatik_state *state, struct sk_buff *skb);

/* What a script asks for. */
struct lunatik_hook_spec {
	u32 kind;
	u32 on_error;
	u8 family;		/* NFPROTO_*; netfilter's only, as all up to `device` */
	unsigned int number;
	int priority;
	const char *device;	/* its name, or NULL if the hook is not a device's */
	const char *name;
};

/*
 * Makes the function on top of the stack, which stays there, that replica's of a
 * hook. For a library function whose run may sleep, which it does. The hook's id.
 * Raises errors.
 */
u64 lunatik_hook_register(lua_State *L, const struct lunatik_hook_spec *spec);

/* Whether this replica has a function in the hook of that id, whose device has not gone. */
bool lunatik_hook_is_registered(lua_State *L, u64 id);

/* Takes the function of this replica from its hook of that id; false if there is none. */
bool lunatik_hook_unregister(lua_State *L, u64 id);

/*
 * The device leaves the namespace and must not have hooks any more. They go from
 * their states later. Under RTNL; may sleep.
 */
void lunatik_hooks_drop_device(struct lunatik_net *lnet, const struct net_device *dev);

/*
 * What the state of that id does with a packet for which an eBPF program calls it:
 * the verdict or a negative errno, -ENOENT without such a state or function. Under
 * RCU. packet: initialised.
 */
long lunatik_hook_run_by_id(struct lunatik_net *lnet, u32 id, u32 kind,
			   struct lunatik_packet *packet);

#endif
