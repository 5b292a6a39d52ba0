// SPDX-License-Identifier: GPL-2.0-only
#include <linux/netlink.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include <uapi/linux/lunatik.h>

#include "netlink.h"
#include "netns.h"
#include "reply.h"
#include "stack.h"

/* The message's attributes begin behind two headers. */
#define HEADERS		(NLMSG_HDRLEN + GENL_HDRLEN)

/* Of the first message of several answers */
#define FIRST_ROOM	512

/*
 * The least room in one that is made when there is something to put into it. What
 * is hardly filled netlink copies into something smaller (netlink_trim()).
 */
#define LEAST_ROOM	160

/* What several answers keep for an ANSWER with ERRNO, and TAKEN: nests, and integers of 4 bytes. */
#define SPARE		(NLA_HDRLEN + 3 * (NLA_HDRLEN + 4))

/* Attributes of one message; a socket with default buffers takes that much unread. */
#define MESSAGE_MAX	(LUNATIK_MESSAGE_MAX - HEADERS)

static struct sk_buff *message_new(struct lunatik_reply *reply, size_t room, gfp_t gfp,
				   void **head)
{
	struct genl_info *info = reply->info;
	struct sk_buff *skb = genlmsg_new(room, gfp);

	if (!skb)
		return NULL;
	*head = genlmsg_put(skb, info->snd_portid, info->snd_seq, &lunatik_family, 0,
			    info->genlhdr->cmd);
	if (!*head) {
		kfree_skb(skb);
		return NULL;
	}
	return skb;
}

void lunatik_reply_init(struct lunatik_reply *reply, struct sk_buff *request,
			struct genl_info *info)
{
	reply->request = request;
	reply->info = info;
	__skb_queue_head_init(&reply->done);
	reply->total = 0;
	reply->skb = NULL;
	reply->several = false;
	reply->index = 0;
	reply->mark = 0;
	reply->guard = &lunatik_guard_none;
}

int lunatik_reply_alloc(struct lunatik_reply *reply, size_t room)
{
	reply->skb = message_new(reply, room, GFP_KERNEL, &reply->head);
	return reply->skb ? 0 : -ENOMEM;
}

struct sk_buff *lunatik_reply_skb(struct lunatik_reply *reply)
{
	return reply->skb;
}

void lunatik_reply_reset(struct lunatik_reply *reply)
{
	if (!skb_queue_empty(&reply->done)) {
		/* What is to stay is in the first. */
		kfree_skb(reply->skb);
		reply->skb = __skb_dequeue(&reply->done);
		reply->head = reply->skb->data + HEADERS;
		__skb_queue_purge(&reply->done);
	}
	if (reply->skb)
		skb_trim(reply->skb, HEADERS + reply->mark);
	reply->total = reply->mark;
}

void lunatik_reply_free(struct lunatik_reply *reply)
{
	__skb_queue_purge(&reply->done);
	kfree_skb(reply->skb);
}

/* Makes room for `size` bytes of attributes. */
static int reserve(struct lunatik_reply *reply, size_t size)
{
	size_t need = size + (reply->several ? SPARE : 0);
	struct sk_buff *skb;
	size_t used;
	void *head;

	if (reply->total + size > LUNATIK_REPLY_MAX)
		return -EMSGSIZE;
	if (!reply->skb) {
		reply->skb = message_new(reply, max_t(size_t, need, LEAST_ROOM), lunatik_gfp(reply->guard),
					 &reply->head);
		return reply->skb ? 0 : -ENOMEM;
	}
	used = reply->skb->len - HEADERS;
	/* The allocator may have rounded the tailroom up past what a reader takes. */
	if (used + need <= MESSAGE_MAX && skb_tailroom(reply->skb) >= need)
		return 0;
	if (used + need <= MESSAGE_MAX) {
		/* Grow the message, at least twofold. */
		size_t room = clamp_t(size_t, 2 * used, used + need, MESSAGE_MAX);

		skb = message_new(reply, room, lunatik_gfp(reply->guard), &head);
		if (!skb)
			return -ENOMEM;
		skb_put_data(skb, reply->skb->data + HEADERS, used);
		kfree_skb(reply->skb);
	} else {
		skb = message_new(reply, MESSAGE_MAX, lunatik_gfp(reply->guard), &head);
		if (!skb)
			return -ENOMEM;
		genlmsg_end(reply->skb, reply->head);
		__skb_queue_tail(&reply->done, reply->skb);
	}
	reply->skb = skb;
	reply->head = head;
	return 0;
}

/* An ANSWER, for which there is room. */
static void put_answer(struct lunatik_reply *reply, int type, const void *data, size_t len)
{
	size_t size = nla_total_size(sizeof(u32)) + nla_total_size(len);
	struct nlattr *nest = nla_reserve(reply->skb, LUNATIK_A_ANSWER | NLA_F_NESTED, size);
	struct nlattr *attr = nla_data(nest);

	attr->nla_type = LUNATIK_A_INDEX;
	attr->nla_len = nla_attr_size(sizeof(u32));
	memcpy(nla_data(attr), &reply->index, sizeof(u32));
	attr = nla_data(nest) + nla_total_size(sizeof(u32));
	attr->nla_type = type;
	attr->nla_len = nla_attr_size(len);
	if (len)
		memcpy(nla_data(attr), data, len);
	memset(nla_data(attr) + len, 0, nla_padlen(len));
	reply->total += nla_total_size(size);
}

int lunatik_reply_several(struct lunatik_reply *reply)
{
	reply->several = true;
	return lunatik_reply_alloc(reply, FIRST_ROOM);
}

bool lunatik_reply_next(struct lunatik_reply *reply)
{
	if (!skb_queue_empty(&reply->done) || reserve(reply, 0) ||
	    !skb_queue_empty(&reply->done))
		return false;
	reply->mark = reply->skb->len - HEADERS;
	reply->index++;
	return true;
}

void lunatik_reply_failed(struct lunatik_reply *reply, int err)
{
	u32 number = -err;

	put_answer(reply, LUNATIK_A_ERRNO, &number, sizeof(number));
}

void lunatik_reply_taken(struct lunatik_reply *reply)
{
	u32 taken = reply->index + 1;

	nla_put(reply->skb, LUNATIK_A_TAKEN, sizeof(taken), &taken);
}

static size_t size_of(const struct lunatik_reply *reply, size_t len)
{
	size_t size = nla_total_size(len);

	return reply->several ? nla_total_size(nla_total_size(sizeof(u32)) + size) : size;
}

int lunatik_reply_put(struct lunatik_reply *reply, int type, const void *data, size_t len)
{
	size_t size = size_of(reply, len);
	int err = reserve(reply, size);

	if (err)
		return err;
	if (reply->several) {
		put_answer(reply, type, data, len);
		return 0;
	}
	reply->total += size;
	return nla_put(reply->skb, type, len, data);
}

int lunatik_reply_put_nested(struct lunatik_reply *reply, int nest_type, int type,
			     const void *data, size_t len)
{
	size_t size = nla_total_size(nla_total_size(len));
	int err = reserve(reply, size);
	struct nlattr *nest, *attr;

	if (err)
		return err;
	reply->total += size;
	/* The nest and what is in it at once: a table is thousands of these. */
	nest = nla_reserve(reply->skb, nest_type | NLA_F_NESTED, nla_total_size(len));
	if (!nest)
		return -EMSGSIZE;
	attr = nla_data(nest);
	attr->nla_type = type;
	attr->nla_len = nla_attr_size(len);
	if (len)
		memcpy(nla_data(attr), data, len);
	memset(nla_data(attr) + len, 0, nla_padlen(len));
	return 0;
}

/*
 * What is left of a long reply while its reader pulls it, if ever: it counts
 * against the namespace's quota.
 */
struct pending {
	struct lunatik_net *lnet;
	u32 charged;
	struct sk_buff_head messages;
	int err;
	bool *started;	/* valid during pending_start() */
};

/* From here on pending_done() frees it. */
static int pending_start(struct netlink_callback *cb)
{
	struct pending *pending = cb->data;

	*pending->started = true;
	return 0;
}

static int pending_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct pending *pending = cb->data;
	struct sk_buff *message;

	while ((message = skb_peek(&pending->messages))) {
		if (skb_tailroom(skb) < message->len)
			return skb->len ?: -EMSGSIZE;
		skb_put_data(skb, message->data, message->len);
		__skb_unlink(message, &pending->messages);
		consume_skb(message);
	}
	return pending->err;
}

static void pending_free(struct pending *pending)
{
	__skb_queue_purge(&pending->messages);
	lunatik_netns_uncharge(pending->lnet, pending->charged);
	kfree(pending);
}

static int pending_done(struct netlink_callback *cb)
{
	pending_free(cb->data);
	return 0;
}

/* A text that cannot be told is no reason to hide the error err. */
static int send_long(struct lunatik_reply *reply, int err)
{
	struct genl_info *info = reply->info;
	struct netlink_dump_control control = {
		.start		= pending_start,
		.dump		= pending_dump,
		.done		= pending_done,
		.min_dump_alloc	= HEADERS + MESSAGE_MAX,
		.module		= THIS_MODULE,
	};
	struct pending *pending;
	bool started = false;
	struct sk_buff *skb;
	int ret;

	pending = kmalloc(sizeof(*pending), GFP_KERNEL_ACCOUNT);
	if (!pending)
		return err ?: -ENOMEM;
	pending->lnet = lunatik_net(genl_info_net(info));
	pending->charged = reply->total;
	if (!lunatik_netns_charge(pending->lnet, pending->charged)) {
		kfree(pending);
		NL_SET_ERR_MSG(info->extack,
			       "the namespace's quota of bytes has no room for the reply");
		return err ?: -EDQUOT;
	}
	pending->err = err;
	pending->started = &started;
	__skb_queue_head_init(&pending->messages);
	skb_queue_splice_init(&reply->done, &pending->messages);
	skb_queue_walk(&pending->messages, skb)
		nlmsg_hdr(skb)->nlmsg_flags |= NLM_F_MULTI;
	control.data = pending;
	ret = netlink_dump_start(genl_info_net(info)->genl_sock, reply->request, info->nlhdr,
				 &control);
	if (started)
		return ret;
	pending_free(pending);
	if (ret == -EBUSY)
		NL_SET_ERR_MSG(info->extack,
			       "an earlier long reply to this socket has not been read to its end");
	return err ?: ret;
}

int lunatik_reply_send(struct lunatik_reply *reply, int err)
{
	int sent;

	if (!reply->skb || (reply->skb->len == HEADERS && skb_queue_empty(&reply->done))) {
		lunatik_reply_free(reply);
		return err;
	}
	genlmsg_end(reply->skb, reply->head);
	if (skb_queue_empty(&reply->done)) {
		sent = genlmsg_reply(reply->skb, reply->info);
		return err ?: sent;
	}
	__skb_queue_tail(&reply->done, reply->skb);
	reply->skb = NULL;
	sent = send_long(reply, err);
	__skb_queue_purge(&reply->done);
	return sent;
}
