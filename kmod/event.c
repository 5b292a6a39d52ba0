// SPDX-License-Identifier: GPL-2.0-only
#include <net/genetlink.h>
#include <uapi/linux/lunatik.h>

#include "event.h"
#include "log.h"
#include "netlink.h"
#include "netns.h"
#include "outbox.h"
#include "replica.h"
#include "session.h"
#include "stack.h"
#include "state.h"

static bool anyone_listens(const struct lunatik_state *state, unsigned int group)
{
	return genl_has_listeners(&lunatik_family, state->lnet->net, group);
}

/* A message that names the state, with room for `more` bytes of attributes. */
static struct sk_buff *begin(const struct lunatik_state *state, u8 cmd, size_t more, gfp_t gfp,
			     void **head)
{
	struct sk_buff *skb;

	skb = genlmsg_new(nla_total_size(sizeof(state->name)) + nla_total_size(sizeof(u32)) + more,
			  gfp);
	if (!skb)
		return NULL;
	*head = genlmsg_put(skb, 0, 0, &lunatik_family, 0, cmd);
	if (!*head || nla_put_string(skb, LUNATIK_A_STATE_NAME, state->name) ||
	    nla_put_u32(skb, LUNATIK_A_STATE_ID, state->id)) {
		kfree_skb(skb);
		return NULL;
	}
	return skb;
}

/* Those of the group see an error, as where their sockets are full. */
static void lost(const struct lunatik_state *state, unsigned int group)
{
	genl_set_err(&lunatik_family, state->lnet->net, 0, group, -ENOBUFS);
}

static void send(struct lunatik_replica *replica, struct sk_buff *skb, void *head,
		 unsigned int group)
{
	struct lunatik_state *state = replica->state;

	genlmsg_end(skb, head);
	if (lunatik_outbox_needed(replica)) {
		if (!lunatik_outbox_add(state, skb, group, NULL))
			lost(state, group);
		return;
	}
	genlmsg_multicast_netns(&lunatik_family, state->lnet->net, skb, 0, group,
				lunatik_gfp(&replica->deadline.guard));
}

void lunatik_event_created(const struct lunatik_state *state)
{
	struct sk_buff *skb;
	void *head;

	if (!anyone_listens(state, LUNATIK_GROUP_EVENTS))
		return;
	skb = begin(state, LUNATIK_CMD_STATE_CREATED_NTF, 0, LUNATIK_GFP_KERNEL, &head);
	if (!skb) {
		lost(state, LUNATIK_GROUP_EVENTS);
		return;
	}
	genlmsg_end(skb, head);
	genlmsg_multicast_netns(&lunatik_family, state->lnet->net, skb, 0, LUNATIK_GROUP_EVENTS,
				LUNATIK_GFP_KERNEL);
}

void lunatik_event_closed(struct lunatik_state *state)
{
	struct sk_buff *skb;
	void *head;

	if (!READ_ONCE(state->nsubscribers) && !anyone_listens(state, LUNATIK_GROUP_EVENTS))
		return;
	lunatik_outbox_flush(state);
	skb = begin(state, LUNATIK_CMD_STATE_CLOSED_NTF, 0, LUNATIK_GFP_KERNEL, &head);
	if (!skb) {
		lost(state, LUNATIK_GROUP_EVENTS);
		return;
	}
	genlmsg_end(skb, head);
	lunatik_session_send(state, skb);
	genlmsg_multicast_netns(&lunatik_family, state->lnet->net, skb, 0, LUNATIK_GROUP_EVENTS,
				LUNATIK_GFP_KERNEL);
}

void lunatik_event_failed(struct lunatik_replica *replica, int error, const char *message,
			  size_t len)
{
	const struct lunatik_state *state = replica->state;
	struct sk_buff *skb;
	void *head;

	if (!anyone_listens(state, LUNATIK_GROUP_EVENTS))
		return;
	if (len > LUNATIK_STRING_MAX)
		len = 0;
	skb = begin(state, LUNATIK_CMD_STATE_FAILED_NTF,
		    nla_total_size(sizeof(u32)) + nla_total_size(len),
		    lunatik_gfp(&replica->deadline.guard), &head);
	if (!skb) {
		lost(state, LUNATIK_GROUP_EVENTS);
		return;
	}
	if (nla_put_u32(skb, LUNATIK_A_ERRNO, error) ||
	    (len && nla_put(skb, LUNATIK_A_ERROR, len, message))) {
		kfree_skb(skb);
		return;
	}
	send(replica, skb, head, LUNATIK_GROUP_EVENTS);
}

void lunatik_event_log(struct lunatik_replica *replica, const struct lunatik_log_line *line)
{
	const struct lunatik_state *state = replica->state;
	struct sk_buff *skb;
	void *head;

	if (!anyone_listens(state, LUNATIK_GROUP_LOG))
		return;
	skb = begin(state, LUNATIK_CMD_LOG_NTF,
		    2 * nla_total_size(sizeof(u64)) + nla_total_size(line->len),
		    lunatik_gfp(&replica->deadline.guard), &head);
	if (!skb) {
		lost(state, LUNATIK_GROUP_LOG);
		return;
	}
	if (lunatik_log_put(skb, line)) {
		kfree_skb(skb);
		return;
	}
	send(replica, skb, head, LUNATIK_GROUP_LOG);
}
