// SPDX-License-Identifier: GPL-2.0-only
#include <linux/build_bug.h>
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
	return replica->deadline.guard.atomic && replica->run == &replica->callback;
}

/* The message's if there is room for it. */
static bool put_in(struct lunatik_outbox *outbox, struct sk_buff *skb)
{
	u32 bytes = parcel_of(skb)->bytes;
	bool room;

	spin_lock(&outbox->queue.lock);
	room = bytes <= LUNATIK_OUTBOX_BYTES - outbox->bytes;
	if (room) {
		outbox->bytes += bytes;
		__skb_queue_tail(&outbox->queue, skb);
	}
	spin_unlock(&outbox->queue.lock);
	return room;
}

static struct sk_buff *take_out(struct lunatik_outbox *outbox)
{
	struct sk_buff *skb;

	spin_lock(&outbox->queue.lock);
	skb = __skb_dequeue(&outbox->queue);
	if (skb)
		outbox->bytes -= parcel_of(skb)->bytes;
	spin_unlock(&outbox->queue.lock);
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
		if (put_in(&state->outbox, skb)) {
			tasklet_schedule(&state->outbox.tasklet);
			return true;
		}
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
 * Sends so many, or as long as that (ticks); how many it were. Where a message makes a
 * packet no script is called for it, which would say more, and so for ever. Under
 * subscribers_lock.
 */
static unsigned int send_some(struct lunatik_state *state, unsigned int most, u64 ticks)
{
	u64 begin = lunatik_clock();
	unsigned int sent = 0;
	struct sk_buff *skb;

	lunatik_share_hold_hooks();
	while (sent < most && lunatik_clock() - begin < ticks &&
	       (skb = take_out(&state->outbox))) {
		send(state, skb);
		sent++;
	}
	lunatik_share_let_hooks();
	return sent;
}

static void send_turn(struct tasklet_struct *tasklet)
{
	struct lunatik_state *state = container_of(tasklet, struct lunatik_state, outbox.tasklet);
	u64 begin = lunatik_clock();

	spin_lock(&state->subscribers_lock);
	send_some(state, UINT_MAX, lunatik_clock_of_us(TURN));
	spin_unlock(&state->subscribers_lock);
	lunatik_share_charge_hooks(state->lnet, lunatik_clock() - begin);
	if (!skb_queue_empty_lockless(&state->outbox.queue))
		tasklet_schedule(tasklet);
}

void lunatik_outbox_flush_all(struct lunatik_state *state)
{
	unsigned int left = skb_queue_len_lockless(&state->outbox.queue), sent;

	while (left) {
		spin_lock_bh(&state->subscribers_lock);
		sent = send_some(state, left, lunatik_clock_of_us(TURN));
		spin_unlock_bh(&state->subscribers_lock);
		if (!sent)
			break;
		left -= sent;
	}
}

void lunatik_outbox_flush(struct lunatik_replica *replica)
{
	const struct lunatik_deadline *deadline = &replica->deadline;
	struct lunatik_state *state = replica->state;
	unsigned int left = skb_queue_len_lockless(&state->outbox.queue);

	if (likely(!left))
		return;
	if (!deadline->guard.atomic) {
		lunatik_outbox_flush_all(state);
	} else if (lunatik_session_lock(replica)) {
		send_some(state, left, lunatik_deadline_left(deadline, lunatik_clock()));
		lunatik_session_unlock(replica);
	}
}

void lunatik_outbox_init(struct lunatik_state *state)
{
	skb_queue_head_init(&state->outbox.queue);
	tasklet_setup(&state->outbox.tasklet, send_turn);
}

void lunatik_outbox_stop(struct lunatik_state *state)
{
	/* It comes again until nothing is left. */
	tasklet_kill(&state->outbox.tasklet);
}
