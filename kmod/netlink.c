// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <linux/stringify.h>
#include <net/genetlink.h>
#include <net/sock.h>
#include <uapi/linux/lunatik.h>

#include "description.h"
#include "dostring.h"
#include "event.h"
#include "netlink.h"
#include "netns.h"
#include "params.h"
#include "reply.h"
#include "request.h"
#include "senddata.h"
#include "session.h"
#include "state.h"
#include "value.h"

/*
 * Lengths with a limit of ours are not in the policies but checked where the
 * attribute is used, for a text that tells the limit.
 */
#define POLICY_STATE						\
	[LUNATIK_A_STATE_NAME]	= { .type = NLA_NUL_STRING },	\
	[LUNATIK_A_STATE_ID]	= { .type = NLA_U32 }

static const struct nla_policy newstate_policy[] = {
	[LUNATIK_A_STATE_NAME]	= { .type = NLA_NUL_STRING },
	[LUNATIK_A_MAX_ALLOC]	= { .type = NLA_U32 },
	[LUNATIK_A_FLAGS]	= NLA_POLICY_MASK(NLA_U32, LUNATIK_F_EPHEMERAL | LUNATIK_F_PERCPU),
	[LUNATIK_A_TIMEOUT]	= { .type = NLA_U32 },
	[LUNATIK_A_CONTEXT]	= { .type = NLA_U32 },
};

static const struct nla_policy close_policy[] = {
	POLICY_STATE,
	[LUNATIK_A_FLAGS]	= NLA_POLICY_MASK(NLA_U32, LUNATIK_F_FORCE),
};

static const struct nla_policy dostring_policy[] = {
	POLICY_STATE,
	[LUNATIK_A_CODE]	= { .type = NLA_BINARY },
	[LUNATIK_A_CHUNK_NAME]	= { .type = NLA_NUL_STRING },
	[LUNATIK_A_ARG]		= NLA_POLICY_NESTED(lunatik_value_policy),
	[LUNATIK_A_TIMEOUT]	= { .type = NLA_U32 },
};

static const struct nla_policy getstate_policy[] = {
	POLICY_STATE,
	[LUNATIK_A_FLAGS]	= NLA_POLICY_MASK(NLA_U32, LUNATIK_F_SUBSCRIBE),
	[LUNATIK_A_SESSION]	= { .type = NLA_U32 },
};

static const struct nla_policy putstate_policy[] = {
	POLICY_STATE,
};

static const struct nla_policy senddata_policy[] = {
	POLICY_STATE,
	[LUNATIK_A_DATA]	= { .type = NLA_BINARY },
	[LUNATIK_A_MESSAGE]	= { .type = NLA_BINARY },
	[LUNATIK_A_TIMEOUT]	= { .type = NLA_U32 },
};

static const struct nla_policy getlog_policy[] = {
	POLICY_STATE,
	[LUNATIK_A_SEQUENCE]	= { .type = NLA_U64 },
};

/* With an attribute of which nothing is said, for without any none would be refused. */
static const struct nla_policy nothing_policy[] = {
	[LUNATIK_A_STATE_NAME]	= { },
};

static int pre_doit(const struct genl_split_ops *ops, struct sk_buff *skb, struct genl_info *info)
{
	return lunatik_request_check(genl_info_net(info), info->nlhdr, info->extack);
}

static struct lunatik_peer peer_of(struct sk_buff *skb)
{
	return (struct lunatik_peer){
		.sk	 = NETLINK_CB(skb).sk,
		.portid	 = NETLINK_CB(skb).portid,
		.control = NETLINK_CB(skb).portid,
	};
}

static int get_max_alloc(struct genl_info *info, u32 *max_alloc)
{
	const struct nlattr *attr = info->attrs[LUNATIK_A_MAX_ALLOC];
	u32 max = lunatik_max_alloc();

	*max_alloc = attr ? nla_get_u32(attr) : min(LUNATIK_DEFAULT_ALLOC, max);
	if (*max_alloc < LUNATIK_MAX_ALLOC_MIN || *max_alloc > max) {
		NL_SET_BAD_ATTR(info->extack, attr);
		NL_SET_ERR_MSG_FMT(info->extack, "MAX_ALLOC must be %u to %u bytes",
				   LUNATIK_MAX_ALLOC_MIN, max);
		return -ERANGE;
	}
	return 0;
}

static int get_context(struct genl_info *info, u32 flags, u32 *context)
{
	const struct nlattr *attr = info->attrs[LUNATIK_A_CONTEXT];

	*context = attr ? nla_get_u32(attr) : LUNATIK_CONTEXT_PROCESS;
	if (*context > LUNATIK_CONTEXT_SOFTIRQ)
		return lunatik_refuse(info->extack, attr, -EINVAL,
				      "CONTEXT must be PROCESS (0) or SOFTIRQ (1)");
	if (flags & LUNATIK_F_PERCPU && *context != LUNATIK_CONTEXT_SOFTIRQ)
		return lunatik_refuse(info->extack, info->attrs[LUNATIK_A_FLAGS], -EINVAL,
				      "PERCPU in FLAGS needs the CONTEXT SOFTIRQ");
	return 0;
}

static u32 get_flags(struct genl_info *info)
{
	const struct nlattr *attr = info->attrs[LUNATIK_A_FLAGS];

	return attr ? nla_get_u32(attr) : 0;
}

/* Bytes of a description without hooks, and of other small replies */
#define SMALL_REPLY	512

static int link_new(struct lunatik_state *state, const struct lunatik_peer *peer,
		    struct genl_info *info)
{
	struct lunatik_net *lnet = state->lnet;
	bool subscriber = false;
	int err;

	mutex_lock(&lnet->lock);
	err = lunatik_state_link(state);
	if (!err) {
		err = lunatik_session_ref(state, peer, &subscriber);
		if (err)
			lunatik_state_unlink(state);
		else
			/* Under the lock, so that no closed event precedes it. */
			lunatik_event_created(state);
	}
	mutex_unlock(&lnet->lock);

	if (err == -EEXIST)
		return lunatik_refuse(info->extack, info->attrs[LUNATIK_A_STATE_NAME], err,
				      "a state of this name exists in this namespace");
	if (err == -EDQUOT)
		NL_SET_ERR_MSG_FMT(info->extack, "the namespace's quota of %u states is used up",
				   lunatik_max_states());
	return err;
}

static void close_state(struct lunatik_state *state)
{
	struct lunatik_net *lnet = state->lnet;
	bool linked;

	mutex_lock(&lnet->lock);
	linked = !state->closing;
	if (linked)
		lunatik_state_unlink(state);
	mutex_unlock(&lnet->lock);
	if (linked)
		lunatik_state_put(state);
}

static int newstate(struct sk_buff *skb, struct genl_info *info)
{
	struct lunatik_net *lnet = lunatik_net(genl_info_net(info));
	const struct nlattr *attr = info->attrs[LUNATIK_A_STATE_NAME];
	struct lunatik_peer peer = peer_of(skb);
	u32 max_alloc, timeout, context, flags = get_flags(info);
	struct lunatik_state *state;
	struct lunatik_reply reply;
	const char *name;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, LUNATIK_A_STATE_NAME))
		return lunatik_refuse(info->extack, NULL, -EINVAL, "STATE_NAME is missing");
	name = lunatik_request_name(attr, info->extack, &err);
	if (!name)
		return err;
	err = get_max_alloc(info, &max_alloc);
	if (!err)
		err = get_context(info, flags, &context);
	if (!err && context == LUNATIK_CONTEXT_SOFTIRQ)
		err = lunatik_request_timeout(info, lunatik_softirq_timeout(),
					      lunatik_max_softirq_timeout(), &timeout);
	else if (!err)
		err = lunatik_request_timeout(info, lunatik_timeout(), lunatik_max_timeout(),
					      &timeout);
	if (err)
		return err;
	/* Before the work of making one; link_new() looks again. */
	state = lunatik_state_by_name(lnet, name);
	if (state) {
		lunatik_state_put(state);
		return lunatik_refuse(info->extack, attr, -EEXIST,
				      "a state of this name exists in this namespace");
	}

	lunatik_reply_init(&reply, skb, info);
	err = lunatik_reply_alloc(&reply, SMALL_REPLY);
	if (err)
		return err;
	state = lunatik_state_new(lnet, name, max_alloc, flags, context, timeout);
	if (IS_ERR(state)) {
		err = PTR_ERR(state);
		if (err == -EDQUOT)
			NL_SET_ERR_MSG_FMT(info->extack,
					   "the namespace's quota of %llu bytes is used up",
					   lunatik_max_total_alloc());
		goto out_reply;
	}
	refcount_inc(&state->users);	/* for us; the first is the tables' */
	err = link_new(state, &peer, info);
	if (err) {
		lunatik_state_put(state);
		lunatik_state_put(state);
		goto out_reply;
	}
	err = lunatik_description_put(lunatik_reply_skb(&reply), state);
	err = lunatik_reply_send(&reply, err);
	/* Who cannot be told of the state does not get one. */
	if (err)
		close_state(state);
	lunatik_state_put(state);
	return err;

out_reply:
	lunatik_reply_free(&reply);
	return err;
}

static int do_close(struct sk_buff *skb, struct genl_info *info)
{
	struct lunatik_peer peer = peer_of(skb);
	struct lunatik_state *state = lunatik_request_state(info);
	struct lunatik_net *lnet;
	int err = 0;

	if (IS_ERR(state))
		return PTR_ERR(state);
	lnet = state->lnet;
	mutex_lock(&lnet->lock);
	if (state->closing)
		err = lunatik_refuse(info->extack, NULL, -ENOENT,
				     "no such state in this namespace");
	else if (!(get_flags(info) & LUNATIK_F_FORCE) && lunatik_session_others(state, &peer))
		err = lunatik_refuse(info->extack, NULL, -EBUSY,
				     "another session holds a reference to the state");
	else
		lunatik_state_unlink(state);
	mutex_unlock(&lnet->lock);
	if (!err)
		lunatik_state_put(state);
	lunatik_state_put(state);
	return err;
}

static int drop_reference(struct lunatik_state *state, const struct lunatik_peer *peer, bool unsub)
{
	struct lunatik_net *lnet = state->lnet;
	bool last;
	int err;

	mutex_lock(&lnet->lock);
	err = lunatik_session_unref(state, peer, unsub, &last);
	mutex_unlock(&lnet->lock);
	if (last)
		lunatik_state_put(state);
	return err;
}

static int getstate(struct sk_buff *skb, struct genl_info *info)
{
	struct lunatik_peer peer = peer_of(skb);
	bool subscriber = get_flags(info) & LUNATIK_F_SUBSCRIBE;
	struct lunatik_state *state = lunatik_request_state(info);
	struct lunatik_reply reply;
	struct lunatik_net *lnet;
	int err;

	if (IS_ERR(state))
		return PTR_ERR(state);
	lunatik_reply_init(&reply, skb, info);
	/* Only those can have hooks, and have them at any moment. */
	err = lunatik_reply_alloc(&reply, state->context == LUNATIK_CONTEXT_SOFTIRQ ?
				  LUNATIK_DESCRIPTION_MAX : SMALL_REPLY);
	if (err)
		goto out;
	if (info->attrs[LUNATIK_A_SESSION])
		peer.control = nla_get_u32(info->attrs[LUNATIK_A_SESSION]);
	lnet = state->lnet;
	mutex_lock(&lnet->lock);
	if (state->closing)
		err = lunatik_refuse(info->extack, NULL, -ENOENT,
				     "no such state in this namespace");
	else
		err = lunatik_session_ref(state, &peer, &subscriber);
	mutex_unlock(&lnet->lock);
	if (err == -EDQUOT)
		NL_SET_ERR_MSG(info->extack,
			       "the state has all the references or subscribers ("
			       __stringify(LUNATIK_SUBSCRIBERS_MAX) ") that it may have");
	if (err) {
		lunatik_reply_free(&reply);
		goto out;
	}
	err = lunatik_description_put(lunatik_reply_skb(&reply), state);
	err = lunatik_reply_send(&reply, err);
	/* Who cannot be told of the reference does not get one; with the state it is gone anyway. */
	if (err)
		drop_reference(state, &peer, subscriber);
out:
	lunatik_state_put(state);
	return err;
}

static int putstate(struct sk_buff *skb, struct genl_info *info)
{
	struct lunatik_peer peer = peer_of(skb);
	struct lunatik_state *state = lunatik_request_state(info);
	int err;

	if (IS_ERR(state))
		return PTR_ERR(state);
	err = drop_reference(state, &peer, false);
	lunatik_state_put(state);
	if (err)
		return lunatik_refuse(info->extack, NULL, -EINVAL,
				      "this socket holds no reference to the state");
	return 0;
}

static int getinfo(struct sk_buff *skb, struct genl_info *info)
{
	struct lunatik_net *lnet = lunatik_net(genl_info_net(info));
	struct lunatik_reply reply;
	struct sk_buff *msg;
	int err;

	lunatik_reply_init(&reply, skb, info);
	err = lunatik_reply_alloc(&reply, SMALL_REPLY);
	if (err)
		return err;
	msg = lunatik_reply_skb(&reply);
	if (nla_put_string(msg, LUNATIK_A_VERSION, LUNATIK_VERSION) ||
	    nla_put_string(msg, LUNATIK_A_LUA_VERSION, LUA_RELEASE) ||
	    nla_put_u32(msg, LUNATIK_A_STATES, READ_ONCE(lnet->nstates)) ||
	    lunatik_put_u64(msg, LUNATIK_A_ALLOC, atomic64_read(&lnet->charged)) ||
	    nla_put_u32(msg, LUNATIK_A_MAX_STATES, lunatik_max_states()) ||
	    lunatik_put_u64(msg, LUNATIK_A_MAX_TOTAL_ALLOC, lunatik_max_total_alloc()) ||
	    nla_put_u32(msg, LUNATIK_A_MAX_ALLOC, lunatik_max_alloc()) ||
	    nla_put_u32(msg, LUNATIK_A_TIMEOUT, lunatik_timeout()) ||
	    nla_put_u32(msg, LUNATIK_A_MAX_TIMEOUT, lunatik_max_timeout()) ||
	    nla_put_u32(msg, LUNATIK_A_SOFTIRQ_TIMEOUT, lunatik_softirq_timeout()) ||
	    nla_put_u32(msg, LUNATIK_A_MAX_SOFTIRQ_TIMEOUT, lunatik_max_softirq_timeout()))
		err = -EMSGSIZE;
	return lunatik_reply_send(&reply, err);
}

/*
 * Dumps are checked when they start; on kernels that have no extended ACK for
 * that, by the first call that has one, so that the refusal has its text.
 */

static int check_dump(struct netlink_callback *cb)
{
	return lunatik_request_check(sock_net(cb->skb->sk), cb->nlh, cb->extack);
}

static void *put_dump_header(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &lunatik_family,
			   NLM_F_MULTI, cmd);
}

struct states_dump {
	bool checked;
	unsigned long next_id;
};

static int states_dump_start(struct netlink_callback *cb)
{
	struct states_dump *dump = (void *)cb->ctx;

	BUILD_BUG_ON(sizeof(*dump) > sizeof(cb->ctx));
	/* Room for the longest description, however small the reader's buffer is. */
	cb->min_dump_alloc = LUNATIK_DESCRIPTION_MAX;
	dump->checked = cb->extack;
	return dump->checked ? check_dump(cb) : 0;
}

static int states_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct states_dump *dump = (void *)cb->ctx;
	struct lunatik_net *lnet = lunatik_net(sock_net(cb->skb->sk));
	struct lunatik_state *state;
	unsigned long id;
	int err = 0;

	if (!dump->checked) {
		err = check_dump(cb);
		if (err)
			return err;
		dump->checked = true;
	}
	mutex_lock(&lnet->lock);
	cb->seq = lnet->generation;
	xa_for_each_start(&lnet->states, id, state, dump->next_id) {
		void *head = put_dump_header(skb, cb, LUNATIK_CMD_GETSTATE);

		if (!head || lunatik_description_put(skb, state)) {
			if (head)
				genlmsg_cancel(skb, head);
			err = skb->len ?: -EMSGSIZE;
			break;
		}
		genl_dump_check_consistent(cb, head);
		genlmsg_end(skb, head);
		dump->next_id = id + 1;
	}
	mutex_unlock(&lnet->lock);
	return err;
}

struct log_dump {
	struct lunatik_state *state;
	u64 next;
	bool first;
};

static int log_dump_open(struct netlink_callback *cb)
{
	struct nlattr **attrs = genl_info_dump(cb)->attrs;
	struct log_dump *dump = (void *)cb->ctx;
	struct lunatik_state *state;
	int err;

	err = check_dump(cb);
	if (err)
		return err;
	state = lunatik_request_find(sock_net(cb->skb->sk), attrs, cb->extack);
	if (IS_ERR(state))
		return PTR_ERR(state);
	dump->state = state;
	dump->next = attrs[LUNATIK_A_SEQUENCE] ? nla_get_u64(attrs[LUNATIK_A_SEQUENCE]) : 0;
	dump->first = dump->next > 0;
	return 0;
}

static int log_dump_start(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct log_dump) > sizeof(cb->ctx));
	/* Room for the longest line, however small the reader's buffer is. */
	cb->min_dump_alloc = 2 * LUNATIK_LOG_LINE_MAX;
	return cb->extack ? log_dump_open(cb) : 0;
}

static int put_line(struct sk_buff *skb, struct netlink_callback *cb,
		    const struct lunatik_log_line *line)
{
	struct log_dump *dump = (void *)cb->ctx;
	void *head = put_dump_header(skb, cb, LUNATIK_CMD_GETLOG);

	if (!head || nla_put_string(skb, LUNATIK_A_STATE_NAME, dump->state->name) ||
	    nla_put_u32(skb, LUNATIK_A_STATE_ID, dump->state->id) || lunatik_log_put(skb, line))
		goto full;
	if (dump->first && line->sequence > dump->next &&
	    lunatik_put_u64(skb, LUNATIK_A_LOST, line->sequence - dump->next))
		goto full;
	genlmsg_end(skb, head);
	dump->first = true;
	dump->next = line->sequence + 1;
	return 0;

full:
	if (head)
		genlmsg_cancel(skb, head);
	return -EMSGSIZE;
}

static int log_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct log_dump *dump = (void *)cb->ctx;
	const struct lunatik_log_line *line;
	struct lunatik_log *log;
	int err = 0;

	if (!dump->state) {
		err = log_dump_open(cb);
		if (err)
			return err;
	}
	log = &dump->state->log;
	spin_lock_bh(&log->lock);
	line = lunatik_log_find(log, dump->next);
	if (line) {
		list_for_each_entry_from(line, &log->lines, list) {
			if (put_line(skb, cb, line)) {
				err = skb->len ?: -EMSGSIZE;
				break;
			}
		}
	}
	spin_unlock_bh(&log->lock);
	return err;
}

static int log_dump_done(struct netlink_callback *cb)
{
	struct log_dump *dump = (void *)cb->ctx;

	if (dump->state)
		lunatik_state_put(dump->state);
	return 0;
}

/* The kernel makes room for each attribute up to the last that the policy knows. */
#define OPERATION(name)						\
	.flags		= GENL_UNS_ADMIN_PERM,			\
	.policy		= name##_policy,			\
	.maxattr	= ARRAY_SIZE(name##_policy) - 1

static const struct genl_ops operations[] = {
	{
		.cmd	= LUNATIK_CMD_NEWSTATE,
		.doit	= newstate,
		OPERATION(newstate),
	},
	{
		.cmd	= LUNATIK_CMD_CLOSE,
		.doit	= do_close,
		OPERATION(close),
	},
	{
		.cmd	= LUNATIK_CMD_DOSTRING,
		.doit	= lunatik_dostring,
		OPERATION(dostring),
	},
	{
		.cmd	= LUNATIK_CMD_GETSTATE,
		.doit	= getstate,
		.start	= states_dump_start,
		.dumpit	= states_dump,
		OPERATION(getstate),
	},
	{
		.cmd	= LUNATIK_CMD_PUTSTATE,
		.doit	= putstate,
		OPERATION(putstate),
	},
	{
		.cmd	= LUNATIK_CMD_SENDDATA,
		.doit	= lunatik_senddata,
		OPERATION(senddata),
	},
	{
		.cmd	= LUNATIK_CMD_GETLOG,
		.start	= log_dump_start,
		.dumpit	= log_dump,
		.done	= log_dump_done,
		OPERATION(getlog),
	},
	{
		.cmd	= LUNATIK_CMD_GETINFO,
		.doit	= getinfo,
		OPERATION(nothing),
	},
};

static const struct genl_multicast_group groups[] = {
	[LUNATIK_GROUP_EVENTS]	= { .name = LUNATIK_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
	[LUNATIK_GROUP_LOG]	= { .name = LUNATIK_MCGRP_LOG, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

struct genl_family lunatik_family __ro_after_init = {
	.name		= LUNATIK_GENL_NAME,
	.version	= LUNATIK_GENL_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.pre_doit	= pre_doit,
	.ops		= operations,
	.n_ops		= ARRAY_SIZE(operations),
	.mcgrps		= groups,
	.n_mcgrps	= ARRAY_SIZE(groups),
};

int __init lunatik_netlink_init(void)
{
	return genl_register_family(&lunatik_family);
}

void lunatik_netlink_uninit(void)
{
	genl_unregister_family(&lunatik_family);
}
