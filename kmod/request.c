// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitmap.h>
#include <linux/stringify.h>
#include <net/genetlink.h>
#include <uapi/linux/lunatik.h>

#include "netns.h"
#include "params.h"
#include "reply.h"
#include "request.h"
#include "run.h"
#include "state.h"

int lunatik_refuse(struct netlink_ext_ack *extack, const struct nlattr *attr, int err,
		   const char *text)
{
	NL_SET_BAD_ATTR(extack, attr);
	if (extack)
		extack->_msg = text;
	return err;
}

int lunatik_request_check(struct net *net, const struct nlmsghdr *nlh,
			  struct netlink_ext_ack *extack)
{
	const struct genlmsghdr *genlhdr = nlmsg_data(nlh);
	DECLARE_BITMAP(seen, LUNATIK_A_MAX + 1) = {};
	const struct nlattr *attr;
	int rem;

	if (!lunatik_netns_allowed(net))
		return lunatik_refuse(extack, NULL, -EPERM,
				      "user namespaces are refused unless lunatik.allow_user_ns is set");
	if (genlhdr->version != LUNATIK_GENL_VERSION)
		return lunatik_refuse(extack, NULL, -EINVAL, "the family's version is "
				      __stringify(LUNATIK_GENL_VERSION));
	nlmsg_for_each_attr(attr, nlh, GENL_HDRLEN, rem) {
		int type = nla_type(attr);

		if (type == LUNATIK_A_CODE || type == LUNATIK_A_ARG || type == LUNATIK_A_MESSAGE)
			continue;
		if (type <= LUNATIK_A_MAX && __test_and_set_bit(type, seen))
			return lunatik_refuse(extack, attr, -EINVAL, "attribute given twice");
	}
	return 0;
}

const char *lunatik_request_name(const struct nlattr *attr, struct netlink_ext_ack *extack,
				 int *err)
{
	const char *name = nla_data(attr);
	size_t i, len = strlen(name);

	if (len > LUNATIK_STATE_NAME_MAX) {
		*err = lunatik_refuse(extack, attr, -EMSGSIZE, "STATE_NAME longer than "
				      __stringify(LUNATIK_STATE_NAME_MAX) " bytes");
		return NULL;
	}
	for (i = 0; i < len; i++)
		if (name[i] < ' ' || name[i] > '~' || name[i] == '/')
			break;
	if (!len || i < len) {
		*err = lunatik_refuse(extack, attr, -EINVAL,
				      "STATE_NAME must be 1 to " __stringify(LUNATIK_STATE_NAME_MAX)
				      " printable ASCII characters without '/'");
		return NULL;
	}
	return name;
}

struct lunatik_state *lunatik_request_find(struct net *net, struct nlattr **attrs,
					   struct netlink_ext_ack *extack)
{
	const struct nlattr *name = attrs[LUNATIK_A_STATE_NAME];
	const struct nlattr *id = attrs[LUNATIK_A_STATE_ID];
	struct lunatik_state *state;
	int err;

	if (!name == !id)
		return ERR_PTR(lunatik_refuse(extack, id, -EINVAL,
					      "exactly one of STATE_NAME and STATE_ID is needed"));
	if (name) {
		if (!lunatik_request_name(name, extack, &err))
			return ERR_PTR(err);
		state = lunatik_state_by_name(lunatik_net(net), nla_data(name));
	} else {
		state = lunatik_state_by_id(lunatik_net(net), nla_get_u32(id));
	}
	return state ?: ERR_PTR(lunatik_refuse(extack, name ?: id, -ENOENT,
					       "no such state in this namespace"));
}

struct lunatik_state *lunatik_request_state(struct genl_info *info)
{
	return lunatik_request_find(genl_info_net(info), info->attrs, info->extack);
}

int lunatik_request_timeout(struct genl_info *info, u32 fallback, u32 max, u32 *timeout)
{
	const struct nlattr *attr = info->attrs[LUNATIK_A_TIMEOUT];

	*timeout = attr ? nla_get_u32(attr) : fallback;
	if (attr && (!*timeout || *timeout > max)) {
		NL_SET_BAD_ATTR(info->extack, attr);
		NL_SET_ERR_MSG_FMT(info->extack, "TIMEOUT must be 1 to %u microseconds", max);
		return -ERANGE;
	}
	return 0;
}

/*
 * When every run of a datagram has to end. Generic netlink holds a lock of the
 * whole system for reading until all requests of a datagram have been served, so
 * the longest deadline is for all of them together.
 */
static u64 get_limit(struct sk_buff *skb, u64 now, u32 longest)
{
	/* A request has no time stamp of its own. */
	if (!skb->tstamp)
		skb->tstamp = ns_to_ktime(now);
	return ktime_to_ns(skb->tstamp) + (u64)longest * NSEC_PER_USEC;
}

int lunatik_request_run(struct sk_buff *skb, struct genl_info *info, struct lunatik_run *run,
			bool several)
{
	struct lunatik_state *state = lunatik_request_state(info);
	struct lunatik_reply reply;
	u64 now = ktime_get_ns();
	u32 timeout, longest = lunatik_max_timeout();
	bool softirq;
	int err;

	if (IS_ERR(state))
		return PTR_ERR(state);
	softirq = state->context == LUNATIK_CONTEXT_SOFTIRQ;
	err = lunatik_request_timeout(info, softirq ? lunatik_timeout() : state->timeout, longest,
				      &timeout);
	if (err)
		goto out;
	run->hold = state->timeout;
	if (softirq && info->attrs[LUNATIK_A_TIMEOUT])
		run->hold = min(timeout, lunatik_max_softirq_timeout());
	run->limit = get_limit(skb, now, longest);
	if (run->limit <= now) {
		err = lunatik_refuse(info->extack, NULL, -ETIME,
				     "requests sent at once have had the longest deadline together");
		goto out;
	}
	lunatik_reply_init(&reply, skb, info);
	if (several) {
		err = lunatik_reply_several(&reply);
		if (err)
			goto out;
	}
	run->reply = &reply;
	err = lunatik_run(state, run, now,
			  min(now + (u64)timeout * NSEC_PER_USEC, run->limit), timeout);
	if (several && !err)
		lunatik_reply_taken(&reply);
	err = lunatik_reply_send(&reply, err);
out:
	lunatik_state_put(state);
	return err;
}
