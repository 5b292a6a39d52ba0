/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A reply of any size: one message, or, past what a socket takes at once, a
 * sequence of them that the reader pulls as it does a dump.
 */
#ifndef LUNATIK_REPLY_H
#define LUNATIK_REPLY_H

#include <linux/skbuff.h>
#include <linux/types.h>

struct genl_info;
struct lunatik_guard;

struct lunatik_reply {
	struct sk_buff *request;
	struct genl_info *info;
	struct sk_buff_head done;	/* full messages */
	struct sk_buff *skb;		/* the one being written, or NULL */
	void *head;
	size_t total;			/* bytes of attributes so far */
	bool several;			/* answers, each put as an ANSWER */
	u32 index;			/* that of the one being written */
	size_t mark;			/* where it begins */
	const struct lunatik_guard *guard;	/* of who puts something into it */
};

/* All functions but this, and those that put while the guard forbids it, may sleep. */
void lunatik_reply_init(struct lunatik_reply *reply, struct sk_buff *request,
			struct genl_info *info);

/* -ENOMEM or, past LUNATIK_REPLY_MAX, -EMSGSIZE. */
int lunatik_reply_put(struct lunatik_reply *reply, int type, const void *data, size_t len);
/* An attribute within a nest of its own. */
int lunatik_reply_put_nested(struct lunatik_reply *reply, int nest, int type, const void *data,
			     size_t len);

/* Makes a message with so many bytes of room for attributes, so that these fit surely. -ENOMEM. */
int lunatik_reply_alloc(struct lunatik_reply *reply, size_t room);
/* That message. */
struct sk_buff *lunatik_reply_skb(struct lunatik_reply *reply);

/* Forgets what was put, of several answers that of the last. */
void lunatik_reply_reset(struct lunatik_reply *reply);

/*
 * Makes it one of several answers; begins the first. There is always room to tell
 * which of them failed and how many they are. -ENOMEM.
 */
int lunatik_reply_several(struct lunatik_reply *reply);
/* Begins the next answer, if it surely comes in the same message. */
bool lunatik_reply_next(struct lunatik_reply *reply);
/* Says that the last answer is a failure. err: a negative errno. */
void lunatik_reply_failed(struct lunatik_reply *reply, int err);
/* Says how many answers there are. */
void lunatik_reply_taken(struct lunatik_reply *reply);

/*
 * Sends what was put, if anything. Returns what the operation returns to generic
 * netlink: err itself when the ACK (or the error) is still to be sent, and -EINTR
 * when the answer has its own end, which tells err. Frees the reply.
 */
int lunatik_reply_send(struct lunatik_reply *reply, int err);
void lunatik_reply_free(struct lunatik_reply *reply);

#endif
