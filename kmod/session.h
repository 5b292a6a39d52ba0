/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sessions and their references. A session here is one netlink socket that holds
 * references to states; it dies with the socket. Sockets of one client say that
 * they belong together by the port id of its control channel.
 */
#ifndef LUNATIK_SESSION_H
#define LUNATIK_SESSION_H

#include <linux/types.h>

struct lunatik_net;
struct lunatik_replica;
struct lunatik_state;
struct sk_buff;

/* The socket that a request came from. */
struct lunatik_peer {
	struct sock *sk;
	u32 portid;
	u32 control;	/* port id of its client's control channel */
};

/*
 * Gives the peer one more reference to a linked state, and makes it a subscriber
 * if asked to: *subscriber then tells whether it was none before. Under
 * lnet->lock. -ENOMEM; -EDQUOT with all the references or subscribers that a state
 * may have.
 */
int lunatik_session_ref(struct lunatik_state *state, const struct lunatik_peer *peer,
			bool *subscriber);

/*
 * Takes one reference from the peer; its subscription goes, too, if asked to or
 * with the last reference. Under lnet->lock. -ENOENT when it has none. An ephemeral
 * state without references is unlinked: true in *last, and the caller puts the
 * tables' use.
 */
int lunatik_session_unref(struct lunatik_state *state, const struct lunatik_peer *peer,
			  bool unsub, bool *last);

/* Whether anyone but the peer's client holds the state. Under lnet->lock. */
bool lunatik_session_others(const struct lunatik_state *state, const struct lunatik_peer *peer);

/* Drops all references to a state that is being unlinked. Under lnet->lock. */
void lunatik_session_forget(struct lunatik_state *state);

/* Drops all sessions of a namespace. */
void lunatik_session_drop_all(struct lunatik_net *lnet);

/*
 * Sends data to every subscriber of the replica's state, from its script. Never sleeps
 * for a subscriber: one whose socket is full loses the message and is told so by its
 * socket. Nobody gets it if others are sending to them until the run's time is over.
 * How many got it, or, when it has to wait (see outbox.h), how many there are; or -ENOMEM.
 */
int lunatik_session_publish(struct lunatik_replica *replica, const char *data, size_t len);

/*
 * Numbers a whole message, where sequence points to, and sends it to every subscriber.
 * lost: how many were before it. How many got it. Under subscribers_lock; takes the
 * message.
 */
int lunatik_session_deliver(struct lunatik_state *state, struct sk_buff *skb, void *sequence,
			    u64 lost);

/* Sends a message to every subscriber; how many got it. Under lnet->lock. */
int lunatik_session_send(struct lunatik_state *state, struct sk_buff *skb);

int lunatik_session_init(void);
void lunatik_session_uninit(void);

#endif
