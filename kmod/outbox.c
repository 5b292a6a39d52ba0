// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitops.h>
#include <linux/build_bug.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "clock.h"
#include "netlink.h"
#include "netns.h"
#include "outbox.h"
#include "replica.h"
#include "session.h"
#include "share.h"
#include "state.h"

/* How long others wait at the most for who sends (microseconds), but for one message. */
#define TURN	1000

/*
 * And how long a state that closes lets its last words out. Those of one namespace have a
 * tenth of the time for it, after a burst of a tenth of a second.
 */
#define FLUSH		10000
#define FLUSH_PRICE	10
#define FLUSH_DEBT	1000000

/* In the control buffer of a message that waits. */
struct parcel {
	u64 lost;		/* how many for subscribers were before it */
	int group;
	u32 bytes;		/* what it was charged for */
	u32 sequence;		/* where its number is to be, from the message's begin */
};

static struct parcel *parcel_of(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct parcel) > sizeof(skb->cb));
	return (struct parcel *)skb->cb;
}

bool lunatik_outbox_needed(const struct lunatik_replica *replica)
{
	return atomic_read(&replica->state->outbox.waiting) ||
	       (replica->deadline.guard.atomic && replica->run == &replica->callback);
}

/* False if there is no room for it. */
static bool put_in(struct lunatik_outbox *outbox, struct sk_buff *skb)
{
	u32 bytes = parcel_of(skb)->bytes;
	bool room;

	spin_lock_bh(&outbox->queue.lock);
	room = bytes <= LUNATIK_OUTBOX_BYTES - outbox->bytes;
	if (room) {
		outbox->bytes += bytes;
		__skb_queue_tail(&outbox->queue, skb);
	}
	spin_unlock_bh(&outbox->queue.lock);
	return room;
}

static struct sk_buff *take_out(struct lunatik_outbox *outbox)
{
	struct sk_buff *skb;

	spin_lock_bh(&outbox->queue.lock);
	skb = __skb_dequeue(&outbox->queue);
	if (skb)
		outbox->bytes -= parcel_of(skb)->bytes;
	spin_unlock_bh(&outbox->queue.lock);
	return skb;
}

void lunatik_outbox_lost(struct lunatik_state *state)
{
	atomic64_inc(&state->outbox.lost);
}

u64 lunatik_outbox_take_lost(struct lunatik_state *state)
{
	atomic64_t *lost = &state->outbox.lost;

	return unlikely(atomic64_read(lost)) ? atomic64_xchg(lost, 0) : 0;
}

bool lunatik_outbox_add(struct lunatik_state *state, struct sk_buff *skb, int group,
			const struct nlattr *sequence)
{
	struct parcel *parcel = parcel_of(skb);

	parcel->lost = sequence ? lunatik_outbox_take_lost(state) : 0;
	parcel->group = group;
	parcel->bytes = skb->truesize;
	parcel->sequence = sequence ? (u8 *)nla_data(sequence) - skb->data : 0;
	if (lunatik_netns_charge(state->lnet, parcel->bytes)) {
		atomic_inc(&state->outbox.waiting);
		if (put_in(&state->outbox, skb)) {
			queue_work(state->lnet->messages, &state->outbox.work);
			return true;
		}
		atomic_dec(&state->outbox.waiting);
		lunatik_netns_uncharge(state->lnet, parcel->bytes);
	}
	if (sequence)
		atomic64_add(parcel->lost + 1, &state->outbox.lost);
	kfree_skb(skb);
	return false;
}

static void send(struct lunatik_state *state, struct sk_buff *skb)
{
	struct parcel parcel = *parcel_of(skb);

	memset(skb->cb, 0, sizeof(skb->cb));
	if (parcel.group == LUNATIK_OUTBOX_SUBSCRIBERS)
		lunatik_session_deliver(state, skb, skb->data + parcel.sequence, parcel.lost);
	else
		genlmsg_multicast_netns(&lunatik_family, state->lnet->net, skb, 0, parcel.group,
					GFP_ATOMIC);
	lunatik_netns_uncharge(state->lnet, parcel.bytes);
}

/*
 * Sends what waits, or as much of it as takes a turn. Where a message makes a packet on
 * its way, no script of the namespace is called for that, which would say more, and so
 * for ever.
 */
static void send_turn(struct lunatik_state *state)
{
	u64 ticks = lunatik_clock_of_us(TURN), begin;
	struct sk_buff *skb;

	spin_lock_bh(&state->subscribers_lock);
	lunatik_share_hold_hooks(state->lnet);
	begin = lunatik_clock();
	while (lunatik_clock() - begin < ticks && (skb = take_out(&state->outbox))) {
		send(state, skb);
		atomic_dec(&state->outbox.waiting);
	}
	lunatik_share_let_hooks();
	spin_unlock_bh(&state->subscribers_lock);
	cond_resched();
}

static void send_all(struct work_struct *work)
{
	struct lunatik_state *state = container_of(work, struct lunatik_state, outbox.work);
	struct lunatik_outbox *outbox = &state->outbox;

	send_turn(state);
	/* After the other states of the namespace. */
	if (!skb_queue_empty_lockless(&outbox->queue) && !READ_ONCE(outbox->stopped))
		queue_work(state->lnet->messages, work);
}

void lunatik_outbox_flush(struct lunatik_state *state)
{
	struct lunatik_net *lnet = state->lnet;
	u64 begin = ktime_get_ns(), took;
	u64 paid_off = max(READ_ONCE(lnet->flushes_paid_off), begin);

	/* Where many states close, others may wait for all of them. */
	if (!atomic_read(&state->outbox.waiting) || paid_off - begin > FLUSH_DEBT * NSEC_PER_USEC)
		return;
	/* One that is being sent has been when its turn is over. */
	do {
		send_turn(state);
		took = min_t(u64, ktime_get_ns() - begin, FLUSH * NSEC_PER_USEC);
	} while (atomic_read(&state->outbox.waiting) && took < FLUSH * NSEC_PER_USEC);
	WRITE_ONCE(lnet->flushes_paid_off, paid_off + took * FLUSH_PRICE);
}

void lunatik_outbox_init(struct lunatik_state *state)
{
	skb_queue_head_init(&state->outbox.queue);
	INIT_WORK(&state->outbox.work, send_all);
}

static void drop_all(struct lunatik_state *state)
{
	unsigned long groups = 0;
	unsigned int group;
	struct sk_buff *skb;

	while ((skb = take_out(&state->outbox))) {
		const struct parcel *parcel = parcel_of(skb);

		if (parcel->group != LUNATIK_OUTBOX_SUBSCRIBERS)
			__set_bit(parcel->group, &groups);
		lunatik_netns_uncharge(state->lnet, parcel->bytes);
		kfree_skb(skb);
		cond_resched();
	}
	for_each_set_bit(group, &groups, BITS_PER_LONG)
		genl_set_err(&lunatik_family, state->lnet->net, 0, group, -ENOBUFS);
}

void lunatik_outbox_stop(struct lunatik_state *state)
{
	WRITE_ONCE(state->outbox.stopped, true);
	cancel_work_sync(&state->outbox.work);
	lunatik_outbox_flush(state);
	drop_all(state);
}
