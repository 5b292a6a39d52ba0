// SPDX-License-Identifier: GPL-2.0-only
#include <net/genetlink.h>
#include <uapi/linux/lunatik.h>

#include "event.h"
#include "log.h"
#include "netlink.h"
#include "netns.h"
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

static void send(const struct lunatik_state *state, struct sk_buff *skb, void *head,
		 unsigned int group, gfp_t gfp)
{
	genlmsg_end(skb, head);
	genlmsg_multicast_netns(&lunatik_family, state->lnet->net, skb, 0, group, gfp);
}

void lunatik_event_created(const struct lunatik_state *state)
{
	struct sk_buff *skb;
	void *head;

	if (!anyone_listens(state, LUNATIK_GROUP_EVENTS))
		return;
	skb = begin(state, LUNATIK_CMD_STATE_CREATED_NTF, 0, LUNATIK_GFP_KERNEL, &head);
	if (skb)
		send(state, skb, head, LUNATIK_GROUP_EVENTS, LUNATIK_GFP_KERNEL);
}

void lunatik_event_closed(struct lunatik_state *state)
{
	struct sk_buff *skb;
	void *head;

	if (!READ_ONCE(state->nsubscribers) && !anyone_listens(state, LUNATIK_GROUP_EVENTS))
		return;
	skb = begin(state, LUNATIK_CMD_STATE_CLOSED_NTF, 0, LUNATIK_GFP_KERNEL, &head);
	if (!skb)
		return;
	genlmsg_end(skb, head);
	lunatik_session_send(state, skb);
	genlmsg_multicast_netns(&lunatik_family, state->lnet->net, skb, 0, LUNATIK_GROUP_EVENTS,
				LUNATIK_GFP_KERNEL);
}

void lunatik_event_failed(const struct lunatik_state *state, const struct lunatik_guard *guard,
			  int error, const char *message, size_t len)
{
	gfp_t gfp = lunatik_gfp(guard);
	struct sk_buff *skb;
	void *head;

	if (!anyone_listens(state, LUNATIK_GROUP_EVENTS))
		return;
	if (len > LUNATIK_STRING_MAX)
		len = 0;
	skb = begin(state, LUNATIK_CMD_STATE_FAILED_NTF,
		    nla_total_size(sizeof(u32)) + nla_total_size(len), gfp, &head);
	if (!skb)
		return;
	if (nla_put_u32(skb, LUNATIK_A_ERRNO, error) ||
	    (len && nla_put(skb, LUNATIK_A_ERROR, len, message))) {
		kfree_skb(skb);
		return;
	}
	send(state, skb, head, LUNATIK_GROUP_EVENTS, gfp);
}

void lunatik_event_log(const struct lunatik_state *state, const struct lunatik_guard *guard,
		       const struct lunatik_log_line *line)
{
	gfp_t gfp = lunatik_gfp(guard);
	struct sk_buff *skb;
	void *head;

	if (!anyone_listens(state, LUNATIK_GROUP_LOG))
		return;
	skb = begin(state, LUNATIK_CMD_LOG_NTF,
		    2 * nla_total_size(sizeof(u64)) + nla_total_size(line->len), gfp, &head);
	if (!skb)
		return;
	if (lunatik_log_put(skb, line)) {
		kfree_skb(skb);
		return;
	}
	send(state, skb, head, LUNATIK_GROUP_LOG, gfp);
}
