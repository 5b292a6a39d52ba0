/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What callbacks of a softirq state have to say: data for its subscribers, lines of the
 * log, failures. A packet may come with locks of the kernel, as that of a queue, and a
 * message may go by ways that need them, as where what a monitor sees of netlink is sent
 * on. So it waits here, and the namespace's worker sends it, with no lock of a packet and
 * as any thread that takes its turn. Messages of a state leave in the order in which they
 * came; those of requests wait, too, while others do.
 */
#ifndef LUNATIK_OUTBOX_H
#define LUNATIK_OUTBOX_H

#include <linux/atomic.h>
#include <linux/skbuff.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct lunatik_replica;
struct lunatik_state;
struct nlattr;

/* Bytes of messages that may wait, with what the kernel needs for each. */
#define LUNATIK_OUTBOX_BYTES	(4U << 20)

struct lunatik_outbox {
	struct sk_buff_head queue;
	u32 bytes;		/* queue.lock */
	bool stopped;
	atomic_t waiting;	/* messages, until they have been sent */
	atomic64_t lost;	/* for subscribers, since the last that came in or was sent at once */
	struct work_struct work;
};

/* Of a group of the family, or, with this one, of the state's subscribers. */
#define LUNATIK_OUTBOX_SUBSCRIBERS	(-1)

void lunatik_outbox_init(struct lunatik_state *state);

/*
 * No callback runs, and none will. Sends what is left as long as lunatik_outbox_flush()
 * does; of the rest those are told who hear of the groups. May sleep.
 */
void lunatik_outbox_stop(struct lunatik_state *state);

/* Whether what the replica's run has to say has to wait. Asked by that run. */
bool lunatik_outbox_needed(const struct lunatik_replica *replica);

/*
 * Takes a whole message. sequence: the attribute to number it with when it leaves, of
 * those for subscribers. False when it is lost, for too many wait already, or the
 * namespace has no memory left. Any context but interrupts.
 */
bool lunatik_outbox_add(struct lunatik_state *state, struct sk_buff *skb, int group,
			const struct nlattr *sequence);

/* One for subscribers is lost: the number of the next one tells. */
void lunatik_outbox_lost(struct lunatik_state *state);

/* How many were since it was asked, or one came in. */
u64 lunatik_outbox_take_lost(struct lunatik_state *state);

/*
 * Sends what waits, for 10 ms and one message at the most, and less where many states of
 * the namespace close. May sleep.
 */
void lunatik_outbox_flush(struct lunatik_state *state);

#endif
