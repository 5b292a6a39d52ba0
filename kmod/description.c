// SPDX-License-Identifier: GPL-2.0-only
#include <linux/minmax.h>
#include <net/netlink.h>
#include <uapi/linux/lunatik.h>

#include "description.h"
#include "hook.h"
#include "replica.h"
#include "state.h"

/* Of all replicas */
struct figures {
	u64 held, peak;		/* bytes */
	u64 runs, errors, deadline_kills;
	u64 run_time;		/* ns */
	u32 replicas, timers;
};

/* The figures of a state that runs are as of some moment, not all of the same one. */
static struct figures figures_of(const struct lunatik_state *state)
{
	const struct lunatik_replica *replica;
	struct figures sum = {};

	for (replica = state->replicas; replica < state->replicas + state->nreplicas; replica++) {
		if (!replica->L)
			continue;
		sum.replicas++;
		sum.timers += READ_ONCE(replica->timers.count);
		sum.held += READ_ONCE(replica->heap.held);
		sum.peak += READ_ONCE(replica->heap.peak);
		sum.runs += READ_ONCE(replica->runs);
		sum.errors += READ_ONCE(replica->errors);
		sum.deadline_kills += READ_ONCE(replica->deadline_kills);
		sum.run_time += READ_ONCE(replica->run_time);
	}
	return sum;
}

int lunatik_description_put(struct sk_buff *skb, struct lunatik_state *state)
{
	struct figures sum = figures_of(state);

	lunatik_hooks_add_figures(state, &sum.runs, &sum.run_time);
	if (nla_put_string(skb, LUNATIK_A_STATE_NAME, state->name) ||
	    nla_put_u32(skb, LUNATIK_A_STATE_ID, state->id) ||
	    nla_put_u32(skb, LUNATIK_A_MAX_ALLOC, state->max_alloc) ||
	    nla_put_u32(skb, LUNATIK_A_CURR_ALLOC, min(sum.held, (u64)U32_MAX)) ||
	    nla_put_u32(skb, LUNATIK_A_PEAK_ALLOC, min(sum.peak, (u64)U32_MAX)) ||
	    nla_put_u32(skb, LUNATIK_A_CONTEXT, state->context) ||
	    nla_put_u32(skb, LUNATIK_A_FLAGS, state->flags) ||
	    nla_put_u32(skb, LUNATIK_A_TIMEOUT, state->timeout) ||
	    nla_put_u32(skb, LUNATIK_A_REFERENCES, READ_ONCE(state->nrefs)) ||
	    nla_put_u32(skb, LUNATIK_A_SUBSCRIBERS, READ_ONCE(state->nsubscribers)) ||
	    lunatik_put_u64(skb, LUNATIK_A_RUNS, sum.runs) ||
	    lunatik_put_u64(skb, LUNATIK_A_ERRORS, sum.errors) ||
	    lunatik_put_u64(skb, LUNATIK_A_DEADLINE_KILLS, sum.deadline_kills) ||
	    lunatik_put_u64(skb, LUNATIK_A_RUN_TIME, sum.run_time) ||
	    lunatik_put_u64(skb, LUNATIK_A_CREATED, state->created) ||
	    nla_put_u32(skb, LUNATIK_A_REPLICAS, sum.replicas) ||
	    nla_put_u32(skb, LUNATIK_A_TIMERS, sum.timers))
		return -EMSGSIZE;
	return lunatik_hooks_put(state, skb);
}
