/* SPDX-License-Identifier: GPL-2.0-only */
/* The way of each packet through a hook. */
#ifndef LUNATIK_HOOK_RUN_H
#define LUNATIK_HOOK_RUN_H

#include <linux/bottom_half.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <uapi/linux/bpf.h>
#include <uapi/linux/lunatik.h>
#include <uapi/linux/pkt_cls.h>

#include "callback.h"
#include "clock.h"
#include "hook.h"
#include "lua/call.h"
#include "packet.h"
#include "run.h"
#include "share.h"
#include "state.h"

/* Of a function that returns nothing: as if there were no hook. */
static __always_inline int lunatik_hook_native(u32 kind)
{
	if (kind == LUNATIK_HOOK_XDP)
		return XDP_PASS;
	return kind == LUNATIK_HOOK_TC ? TC_ACT_PIPE : NF_ACCEPT;
}

/* Whether functions may give that verdict, which is then one of those counted. */
static __always_inline bool lunatik_hook_is_verdict(const struct lunatik_hook *hook, u32 kind,
						    lua_Integer verdict)
{
	if (kind == LUNATIK_HOOK_XDP)
		return verdict >= XDP_ABORTED && verdict <= XDP_REDIRECT;
	if (kind == LUNATIK_HOOK_TC)
		return verdict >= TC_ACT_OK && verdict <= TC_ACT_REDIRECT;
	if (likely(verdict == NF_ACCEPT || verdict == NF_DROP))
		return true;
	/* What is queued of ARP, or of a device, does not find its way back: the kernel warns. */
	return verdict >= 0 && verdict <= U32_MAX && (verdict & NF_VERDICT_MASK) == NF_QUEUE &&
	       hook->ops.pf != NFPROTO_ARP && !hook->of_device &&
	       !(verdict & 0xff00 & ~NF_VERDICT_FLAG_QUEUE_BYPASS);
}

/*
 * What came of a call that gave none of the verdicts: it is counted and logged, and a
 * negative errno, unless it means that it has none to give.
 */
long lunatik_hook_failed(struct lunatik_hook *hook, struct lunatik_slot *slot,
			 struct lunatik_replica *replica, enum lunatik_called called, int status,
			 lua_Integer result);

/* Waits for the replica's lock, but not for ever: false without it. BH disabled. */
bool lunatik_hook_wait(struct lunatik_replica *replica);

/*
 * Others may have one, and what is to become of packets that it cannot be asked about was
 * said for all. Programs of eBPF are told, and a hook that is to go is none any more.
 */
static inline long lunatik_hook_without_function(const struct lunatik_hook *hook, u32 kind)
{
	return kind == LUNATIK_HOOK_NETFILTER && !READ_ONCE(hook->dead) ? -EBUSY : -ENOENT;
}

/* The replica's lock is held. */
static __always_inline long lunatik_hook_call(struct lunatik_hook *hook,
					      struct lunatik_slot *slot,
					      struct lunatik_replica *replica,
					      struct lunatik_packet *packet, u32 kind)
{
	lua_State *L = replica->callbacks;
	enum lunatik_called called;
	unsigned long token;
	lua_Integer result LUNATIK_UNINITIALIZED;
	int status LUNATIK_UNINITIALIZED;

	token = ++replica->token;
	replica->packet = packet;
	replica->run = &replica->callback;
	lunatik_deadline_enter_atomic(&replica->deadline, L, hook->state->timeout_ticks,
				      hook->state->timeout);
	called = lunatik_call(L, LUNATIK_CALLBACK_HOOKS + hook->index, (void *)token, &result,
			      &status);
	if (called == LUNATIK_CALLED_NIL)
		result = lunatik_hook_native(kind);
	if (unlikely(called > LUNATIK_CALLED_INTEGER || replica->callback.ended ||
		     !lunatik_hook_is_verdict(hook, kind, result)))
		result = lunatik_hook_failed(hook, slot, replica, called, status, result);
	else
		slot->verdicts[result & NF_VERDICT_MASK]++;
	if (unlikely(replica->callback.reported))
		lunatik_run_forget(&replica->callback);
	slot->run_time += lunatik_clock() - replica->deadline.begin;
	if (unlikely(slot->run_time > slot->charge_at)) {
		lunatik_share_charge_hooks(hook->state->lnet, slot->run_time - slot->charge_at +
							      lunatik_share_step);
		slot->charge_at = slot->run_time + lunatik_share_step;
	}
	lunatik_deadline_leave_atomic(&replica->deadline);
	replica->run = NULL;
	replica->token++;
	return result;
}

/*
 * Calls the function of the CPU's replica for a packet: its verdict, which is not
 * negative, or a negative errno: -EBUSY when it cannot be called now, -ENOENT without
 * a hook, or, of eBPF's, a function, what a failed run is called otherwise. Under RCU,
 * any softirq or process context. kind: the hook's, a constant.
 */
static __always_inline long lunatik_hook_run(struct lunatik_hook *hook,
					     struct lunatik_packet *packet, u32 kind)
{
	struct lunatik_state *state = hook->state;
	bool bh = !in_softirq();
	struct lunatik_replica *replica;
	struct lunatik_slot *slot;
	unsigned int index;
	long verdict;

	if (bh)
		local_bh_disable();
	index = state->nreplicas > 1 ? smp_processor_id() : 0;
	replica = &state->replicas[index];
	slot = &hook->slots[index];
	/* Lest the compiler reckons them anew for each use. */
	OPTIMIZER_HIDE_VAR(replica);
	OPTIMIZER_HIDE_VAR(slot);
	/*
	 * A script that sent the packet, by whatever way, holds a replica's lock, maybe
	 * this one: to wait for another could wait for ever.
	 */
	if (unlikely(lunatik_deadline_busy())) {
		verdict = -EBUSY;
		goto out;
	}
	/* First, for a packet that waits takes the CPU's time, too. */
	if (lunatik_share_used_up(state->lnet)) {
		verdict = -EBUSY;
		goto out;
	}
	if (unlikely(!spin_trylock(&replica->lock)) && !lunatik_hook_wait(replica)) {
		verdict = -EBUSY;
		goto out;
	}
	if (unlikely(replica->held))
		verdict = -EBUSY;
	else if (unlikely(!slot->function))
		verdict = lunatik_hook_without_function(hook, kind);
	else
		verdict = lunatik_hook_call(hook, slot, replica, packet, kind);
	spin_unlock(&replica->lock);
out:
	if (unlikely(verdict == -EBUSY))
		atomic64_inc(&hook->missed);
	if (bh)
		local_bh_enable();
	return verdict;
}

#endif
