/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What callbacks of a softirq state have to say: data for its subscribers, lines of the
 * log, failures. A packet may come with locks of the kernel, as that of a queue, and a
 * message may go by ways that need them, as where what a monitor sees of netlink is sent
 * on. So it waits here until the packet has gone, and leaves from a softirq that holds
 * nothing. Messages of a state leave in the order in which they came.
 */
#ifndef LUNATIK_OUTBOX_H
#define LUNATIK_OUTBOX_H

#include <linux/atomic.h>
#include <linux/interrupt.h>
#include <linux/skbuff.h>
#include <linux/types.h>

struct lunatik_replica;
struct lunatik_state;
struct nlattr;

/* Bytes of messages that may wait, with what the kernel needs for each. */
#define LUNATIK_OUTBOX_BYTES	(4U << 20)

struct lunatik_outbox {
	struct sk_buff_head queue;
	u32 bytes;	/* queue.lock */
	atomic64_t lost;	/* for subscribers, since the last that came in or left */
	struct tasklet_struct tasklet;
};

/* Of a group of the family, or, with this one, of the state's subscribers. */
#define LUNATIK_OUTBOX_SUBSCRIBERS	(-1)

void lunatik_outbox_init(struct lunatik_state *state);

/*
 * Sends what is left, some of which nobody may want any more. No callback runs, and
 * none will. May sleep.
 */
void lunatik_outbox_stop(struct lunatik_state *state);

/* Whether what the replica's run has to say has to wait. Asked by that run. */
bool lunatik_outbox_needed(const struct lunatik_replica *replica);

/*
 * Takes a whole message. sequence: the attribute to number it with when it leaves, of
 * those for subscribers. False when it is lost, for too many wait already, or the
 * namespace has no memory left. BH disabled.
 */
bool lunatik_outbox_add(struct lunatik_state *state, struct sk_buff *skb, int group,
			const struct nlattr *sequence);

/* One for subscribers is lost: the number of the next one tells. */
void lunatik_outbox_lost(struct lunatik_state *state);

/* How many were since it was asked, or one came in. */
u64 lunatik_outbox_take_lost(struct lunatik_state *state);

/*
 * Sends what waits, for something comes that is not to overtake it. By a run that
 * need not wait itself: as long as its time allows.
 */
void lunatik_outbox_flush(struct lunatik_replica *replica);

/* The same for who has no run. Process context. */
void lunatik_outbox_flush_all(struct lunatik_state *state);

#endif
