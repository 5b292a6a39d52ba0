// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitmap.h>
#include <linux/module.h>
#include <linux/stringify.h>
#include <net/genetlink.h>
#include <net/sock.h>
#include <uapi/linux/lunatik.h>

#include "event.h"
#include "hook.h"
#include "lib/lib.h"
#include "lua/binary.h"
#include "lua/chunk.h"
#include "lua/load.h"
#include "netlink.h"
#include "netns.h"
#include "object.h"
#include "params.h"
#include "reply.h"
#include "run.h"
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

static int refuse(struct netlink_ext_ack *extack, const struct nlattr *attr, int err,
		  const char *text)
{
	NL_SET_BAD_ATTR(extack, attr);
	if (extack)
		extack->_msg = text;
	return err;
}

/* What policies do not say. */
static int check_request(struct net *net, const struct nlmsghdr *nlh,
			 struct netlink_ext_ack *extack)
{
	const struct genlmsghdr *genlhdr = nlmsg_data(nlh);
	DECLARE_BITMAP(seen, LUNATIK_A_MAX + 1) = {};
	const struct nlattr *attr;
	int rem;

	if (!lunatik_netns_allowed(net))
		return refuse(extack, NULL, -EPERM,
			      "user namespaces are refused unless lunatik.allow_user_ns is set");
	if (genlhdr->version != LUNATIK_GENL_VERSION)
		return refuse(extack, NULL, -EINVAL, "the family's version is "
			      __stringify(LUNATIK_GENL_VERSION));
	nlmsg_for_each_attr(attr, nlh, GENL_HDRLEN, rem) {
		int type = nla_type(attr);

		if (type == LUNATIK_A_CODE || type == LUNATIK_A_ARG || type == LUNATIK_A_MESSAGE)
			continue;
		if (type <= LUNATIK_A_MAX && __test_and_set_bit(type, seen))
			return refuse(extack, attr, -EINVAL, "attribute given twice");
	}
	return 0;
}

static int pre_doit(const struct genl_split_ops *ops, struct sk_buff *skb, struct genl_info *info)
{
	return check_request(genl_info_net(info), info->nlhdr, info->extack);
}

static struct lunatik_peer peer_of(struct sk_buff *skb)
{
	return (struct lunatik_peer){
		.sk	 = NETLINK_CB(skb).sk,
		.portid	 = NETLINK_CB(skb).portid,
		.control = NETLINK_CB(skb).portid,
	};
}

static const char *name_of(const struct nlattr *attr, struct netlink_ext_ack *extack, int *err)
{
	const char *name = nla_data(attr);
	size_t i, len = strlen(name);

	if (len > LUNATIK_STATE_NAME_MAX) {
		*err = refuse(extack, attr, -EMSGSIZE, "STATE_NAME longer than "
			      __stringify(LUNATIK_STATE_NAME_MAX) " bytes");
		return NULL;
	}
	for (i = 0; i < len; i++)
		if (name[i] < ' ' || name[i] > '~' || name[i] == '/')
			break;
	if (!len || i < len) {
		*err = refuse(extack, attr, -EINVAL,
			      "STATE_NAME must be 1 to " __stringify(LUNATIK_STATE_NAME_MAX)
			      " printable ASCII characters without '/'");
		return NULL;
	}
	return name;
}

static struct lunatik_state *find(struct net *net, struct nlattr **attrs,
				  struct netlink_ext_ack *extack)
{
	const struct nlattr *name = attrs[LUNATIK_A_STATE_NAME];
	const struct nlattr *id = attrs[LUNATIK_A_STATE_ID];
	struct lunatik_state *state;
	int err;

	if (!name == !id)
		return ERR_PTR(refuse(extack, id, -EINVAL,
				      "exactly one of STATE_NAME and STATE_ID is needed"));
	if (name) {
		if (!name_of(name, extack, &err))
			return ERR_PTR(err);
		state = lunatik_state_by_name(lunatik_net(net), nla_data(name));
	} else {
		state = lunatik_state_by_id(lunatik_net(net), nla_get_u32(id));
	}
	return state ?: ERR_PTR(refuse(extack, name ?: id, -ENOENT,
				       "no such state in this namespace"));
}

static struct lunatik_state *find_for(struct genl_info *info)
{
	return find(genl_info_net(info), info->attrs, info->extack);
}

/* The TIMEOUT attribute, or fallback. */
static int get_timeout(struct genl_info *info, u32 fallback, u32 max, u32 *timeout)
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
		return refuse(info->extack, attr, -EINVAL,
			      "CONTEXT must be PROCESS (0) or SOFTIRQ (1)");
	if (flags & LUNATIK_F_PERCPU && *context != LUNATIK_CONTEXT_SOFTIRQ)
		return refuse(info->extack, info->attrs[LUNATIK_A_FLAGS], -EINVAL,
			      "PERCPU in FLAGS needs the CONTEXT SOFTIRQ");
	return 0;
}

static u32 get_flags(struct genl_info *info)
{
	const struct nlattr *attr = info->attrs[LUNATIK_A_FLAGS];

	return attr ? nla_get_u32(attr) : 0;
}

/* Bytes of a description with all the hooks and verdicts that there can be, about twice. */
#define DESCRIPTION_MAX	SZ_32K
/* Of one without hooks, and of other small replies */
#define SMALL_REPLY	512

static int put_u64(struct sk_buff *skb, int type, u64 value)
{
	/* Without padding: readers take unaligned integers. */
	return nla_put(skb, type, sizeof(value), &value);
}

/* Of all replicas */
struct figures {
	u64 held, peak;		/* bytes */
	u64 runs, errors, deadline_kills;
	u64 run_time;		/* ns */
	u32 replicas, timers;
};

/* The figures of a state that runs are as of some moment, not all of the same one. */
static struct figures figures_of(const struct lunatik_state *state)
{
	const struct lunatik_replica *replica;
	struct figures sum = {};

	for (replica = state->replicas; replica < state->replicas + state->nreplicas; replica++) {
		if (!replica->L)
			continue;
		sum.replicas++;
		sum.timers += READ_ONCE(replica->timers.count);
		sum.held += READ_ONCE(replica->heap.held);
		sum.peak += READ_ONCE(replica->heap.peak);
		sum.runs += READ_ONCE(replica->runs);
		sum.errors += READ_ONCE(replica->errors);
		sum.deadline_kills += READ_ONCE(replica->deadline_kills);
		sum.run_time += READ_ONCE(replica->run_time);
	}
	return sum;
}

static int put_description(struct sk_buff *skb, struct lunatik_state *state)
{
	struct figures sum = figures_of(state);

	lunatik_hooks_add_figures(state, &sum.runs, &sum.run_time);
	if (nla_put_string(skb, LUNATIK_A_STATE_NAME, state->name) ||
	    nla_put_u32(skb, LUNATIK_A_STATE_ID, state->id) ||
	    nla_put_u32(skb, LUNATIK_A_MAX_ALLOC, state->max_alloc) ||
	    nla_put_u32(skb, LUNATIK_A_CURR_ALLOC, min(sum.held, (u64)U32_MAX)) ||
	    nla_put_u32(skb, LUNATIK_A_PEAK_ALLOC, min(sum.peak, (u64)U32_MAX)) ||
	    nla_put_u32(skb, LUNATIK_A_CONTEXT, state->context) ||
	    nla_put_u32(skb, LUNATIK_A_FLAGS, state->flags) ||
	    nla_put_u32(skb, LUNATIK_A_TIMEOUT, state->timeout) ||
	    nla_put_u32(skb, LUNATIK_A_REFERENCES, READ_ONCE(state->nrefs)) ||
	    nla_put_u32(skb, LUNATIK_A_SUBSCRIBERS, READ_ONCE(state->nsubscribers)) ||
	    put_u64(skb, LUNATIK_A_RUNS, sum.runs) ||
	    put_u64(skb, LUNATIK_A_ERRORS, sum.errors) ||
	    put_u64(skb, LUNATIK_A_DEADLINE_KILLS, sum.deadline_kills) ||
	    put_u64(skb, LUNATIK_A_RUN_TIME, sum.run_time) ||
	    put_u64(skb, LUNATIK_A_CREATED, state->created) ||
	    nla_put_u32(skb, LUNATIK_A_REPLICAS, sum.replicas) ||
	    nla_put_u32(skb, LUNATIK_A_TIMERS, sum.timers))
		return -EMSGSIZE;
	return lunatik_hooks_put(state, skb);
}

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
		return refuse(info->extack, info->attrs[LUNATIK_A_STATE_NAME], err,
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
		return refuse(info->extack, NULL, -EINVAL, "STATE_NAME is missing");
	name = name_of(attr, info->extack, &err);
	if (!name)
		return err;
	err = get_max_alloc(info, &max_alloc);
	if (!err)
		err = get_context(info, flags, &context);
	if (!err && context == LUNATIK_CONTEXT_SOFTIRQ)
		err = get_timeout(info, lunatik_softirq_timeout(), lunatik_max_softirq_timeout(),
				  &timeout);
	else if (!err)
		err = get_timeout(info, lunatik_timeout(), lunatik_max_timeout(), &timeout);
	if (err)
		return err;
	/* Before the work of making one; link_new() looks again. */
	state = lunatik_state_by_name(lnet, name);
	if (state) {
		lunatik_state_put(state);
		return refuse(info->extack, attr, -EEXIST,
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
	err = put_description(lunatik_reply_skb(&reply), state);
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
	struct lunatik_state *state = find_for(info);
	struct lunatik_net *lnet;
	int err = 0;

	if (IS_ERR(state))
		return PTR_ERR(state);
	lnet = state->lnet;
	mutex_lock(&lnet->lock);
	if (state->closing)
		err = refuse(info->extack, NULL, -ENOENT, "no such state in this namespace");
	else if (!(get_flags(info) & LUNATIK_F_FORCE) && lunatik_session_others(state, &peer))
		err = refuse(info->extack, NULL, -EBUSY,
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
	struct lunatik_state *state = find_for(info);
	struct lunatik_reply reply;
	struct lunatik_net *lnet;
	int err;

	if (IS_ERR(state))
		return PTR_ERR(state);
	lunatik_reply_init(&reply, skb, info);
	/* Only those can have hooks, and have them at any moment. */
	err = lunatik_reply_alloc(&reply, state->context == LUNATIK_CONTEXT_SOFTIRQ ?
				  DESCRIPTION_MAX : SMALL_REPLY);
	if (err)
		goto out;
	if (info->attrs[LUNATIK_A_SESSION])
		peer.control = nla_get_u32(info->attrs[LUNATIK_A_SESSION]);
	lnet = state->lnet;
	mutex_lock(&lnet->lock);
	if (state->closing)
		err = refuse(info->extack, NULL, -ENOENT, "no such state in this namespace");
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
	err = put_description(lunatik_reply_skb(&reply), state);
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
	struct lunatik_state *state = find_for(info);
	int err;

	if (IS_ERR(state))
		return PTR_ERR(state);
	err = drop_reference(state, &peer, false);
	lunatik_state_put(state);
	if (err)
		return refuse(info->extack, NULL, -EINVAL,
			      "this socket holds no reference to the state");
	return 0;
}

struct dostring {
	struct lunatik_run run;
	const struct nlmsghdr *nlh;
	const char *chunk_name;
	int nargs;
	const struct nlattr *code;	/* the only one, or NULL */
	int rem;			/* of the message, from the next attribute on */
	const struct nlattr *next;
	struct lunatik_binary binary;	/* the code, compiled; or nothing */
};

/* A lua_Reader over the CODE attributes. */
static const char *next_code(lua_State *L, void *data, size_t *size)
{
	struct dostring *dostring = data;

	while (nla_ok(dostring->next, dostring->rem)) {
		const struct nlattr *attr = dostring->next;

		dostring->next = nla_next(attr, &dostring->rem);
		if (nla_type(attr) == LUNATIK_A_CODE && nla_len(attr)) {
			*size = nla_len(attr);
			return nla_data(attr);
		}
	}
	*size = 0;
	return NULL;
}

static int load_code(lua_State *L, struct dostring *dostring)
{
	const struct nlattr *code = dostring->code;

	if (dostring->binary.data)
		return lunatik_binary_load(L, &dostring->binary, dostring->chunk_name);
	dostring->next = nlmsg_attrdata(dostring->nlh, GENL_HDRLEN);
	dostring->rem = nlmsg_attrlen(dostring->nlh, GENL_HDRLEN);
	if (code)
		return lunatik_chunk_load(L, nla_data(code), nla_len(code), dostring->chunk_name);
	return lunatik_load(L, next_code, dostring, dostring->chunk_name, "t");
}

/* Pushes the compiled code, or raises an error. */
static void push_code(lua_State *L, struct dostring *dostring, struct lunatik_run *run)
{
	int status = load_code(L, dostring);

	if (status == LUA_OK)
		return;
	if (status != LUA_ERRMEM)
		run->error = -ENOEXEC;
	lua_error(L);
}

struct compile {
	struct lunatik_run run;
	struct dostring *dostring;
};

static int compile_body(lua_State *L)
{
	struct compile *compile = lua_touserdata(L, 1);

	push_code(L, compile->dostring, &compile->run);
	lunatik_binary_dump(L, &compile->dostring->binary, lunatik_state_of(L)->max_alloc);
	return 0;
}

/* Compiles where no packet waits. */
static int dostring_prepare(struct lunatik_state *state, struct lunatik_run *run, u64 now, u64 end,
			    u32 timeout)
{
	struct dostring *dostring = container_of(run, struct dostring, run);
	struct compile compile = {
		.run.body	= compile_body,
		.run.reply	= run->reply,
		.run.may_sleep	= true,
		.dostring	= dostring,
	};

	return lunatik_run_apart(state, &compile.run, now, end, timeout);
}

static int dostring_body(lua_State *L)
{
	struct dostring *dostring = lua_touserdata(L, 1);
	struct lunatik_reply *reply;

	lua_settop(L, 0);
	lunatik_objects_note(lunatik_state_of(L));
	push_code(L, dostring, &dostring->run);
	if (dostring->nargs)
		lunatik_value_push(L, dostring->nlh, dostring->nargs);
	lua_call(L, dostring->nargs, LUA_MULTRET);
	/* A pcall() that was the last thing to run may have caught the deadline. */
	lunatik_poll(L);
	reply = lunatik_run_reply(&dostring->run);
	if (reply)
		lunatik_value_put(L, 1, reply);
	return 0;
}

/* Gives the CODE attribute if there is only one. */
static int check_code(struct genl_info *info, const struct nlattr **only)
{
	const struct nlattr *attr;
	size_t total = 0;
	int rem, count = 0;

	if (GENL_REQ_ATTR_CHECK(info, LUNATIK_A_CODE))
		return refuse(info->extack, NULL, -EINVAL, "CODE is missing");
	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem)
		if (nla_type(attr) == LUNATIK_A_CODE) {
			total += nla_len(attr);
			count++;
		}
	if (total > LUNATIK_CODE_MAX)
		return refuse(info->extack, info->attrs[LUNATIK_A_CODE], -EMSGSIZE,
			      "CODE longer than " __stringify(LUNATIK_CODE_MAX) " bytes");
	*only = count == 1 ? info->attrs[LUNATIK_A_CODE] : NULL;
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

/*
 * Runs it in the state that the request names, and answers; with several, in the
 * form that the answers of several have.
 */
static int run(struct sk_buff *skb, struct genl_info *info, struct lunatik_run *run, bool several)
{
	struct lunatik_state *state = find_for(info);
	struct lunatik_reply reply;
	u64 now = ktime_get_ns();
	u32 timeout, longest = lunatik_max_timeout();
	bool softirq;
	int err;

	if (IS_ERR(state))
		return PTR_ERR(state);
	softirq = state->context == LUNATIK_CONTEXT_SOFTIRQ;
	err = get_timeout(info, softirq ? lunatik_timeout() : state->timeout, longest, &timeout);
	if (err)
		goto out;
	run->hold = state->timeout;
	if (softirq && info->attrs[LUNATIK_A_TIMEOUT])
		run->hold = min(timeout, lunatik_max_softirq_timeout());
	run->limit = get_limit(skb, now, longest);
	if (run->limit <= now) {
		err = refuse(info->extack, NULL, -ETIME,
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

static int dostring(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *chunk_name = info->attrs[LUNATIK_A_CHUNK_NAME];
	struct dostring dostring = {
		.run.body	= dostring_body,
		.run.prepare	= dostring_prepare,
		.run.count	= 1,
		.nlh		= info->nlhdr,
		.chunk_name	= chunk_name ? nla_data(chunk_name) : "=dostring",
	};
	size_t len = strlen(dostring.chunk_name);
	int err;

	if (!len || len > LUNATIK_CHUNK_NAME_MAX)
		return refuse(info->extack, chunk_name, len ? -EMSGSIZE : -EINVAL,
			      "CHUNK_NAME must be 1 to " __stringify(LUNATIK_CHUNK_NAME_MAX)
			      " bytes");
	err = check_code(info, &dostring.code);
	if (err)
		return err;
	if (info->attrs[LUNATIK_A_ARG])
		dostring.nargs = lunatik_value_check(info->nlhdr, info->extack);
	if (dostring.nargs < 0)
		return dostring.nargs;
	err = run(skb, info, &dostring.run, false);
	lunatik_binary_free(&dostring.binary);
	return err;
}

struct senddata {
	struct lunatik_run run;
	int type;			/* of those attributes that are data */
	unsigned int given;		/* of them, so far */
	int rem;			/* of the message, from the next attribute on */
	const struct nlattr *data, *next;
};

/* That of the run that has begun: one may have failed before it came to this, or be in several replicas. */
static const struct nlattr *get_data(struct senddata *senddata)
{
	while (senddata->given < senddata->run.begun) {
		senddata->data = senddata->next;
		senddata->next = nla_next(senddata->data, &senddata->rem);
		senddata->given += nla_type(senddata->data) == senddata->type;
	}
	return senddata->data;
}

static void receive(lua_State *L, struct senddata *senddata)
{
	const struct nlattr *data = get_data(senddata);
	struct lunatik_reply *reply;
	const char *text;
	size_t len;
	int err;

	if (!lunatik_lib_push_receiver(L))
		lunatik_run_fail(L, -ENOTCONN, "the state has no receiver");
	lua_pushlstring(L, nla_data(data), nla_len(data));
	lua_call(L, 1, 1);
	lunatik_poll(L);
	text = lua_tolstring(L, -1, &len);
	if (!text) {
		if (lua_isnil(L, -1))
			return;
		luaL_error(L, "the receiver returned a %s, not a string or nil",
			   luaL_typename(L, -1));
	}
	if (len > LUNATIK_DATA_MAX)
		lunatik_run_fail(L, -EMSGSIZE, "the reply's %I bytes exceed %d",
				 (lua_Integer)len, LUNATIK_DATA_MAX);
	reply = lunatik_run_reply(&senddata->run);
	err = reply ? lunatik_reply_put(reply, LUNATIK_A_DATA, text, len) : 0;
	if (err)
		lunatik_run_fail(L, err, "not enough memory for the reply");
}

static int senddata_body(lua_State *L)
{
	struct senddata *senddata = lua_touserdata(L, 1);

	do {
		lua_settop(L, 0);
		receive(L, senddata);
	} while (lunatik_run_next(lunatik_replica_of(L), &senddata->run));
	return 0;
}

static int check_data(const struct nlattr *data, struct genl_info *info)
{
	if (nla_len(data) <= LUNATIK_DATA_MAX)
		return 0;
	return refuse(info->extack, data, -EMSGSIZE,
		      "DATA or MESSAGE longer than " __stringify(LUNATIK_DATA_MAX) " bytes");
}

static int senddata_several(struct sk_buff *skb, struct genl_info *info)
{
	struct senddata senddata = {
		.run.body	= senddata_body,
		.type		= LUNATIK_A_MESSAGE,
		.next		= nlmsg_attrdata(info->nlhdr, GENL_HDRLEN),
		.rem		= nlmsg_attrlen(info->nlhdr, GENL_HDRLEN),
	};
	const struct nlattr *attr;
	int rem, err;

	if (info->attrs[LUNATIK_A_DATA])
		return refuse(info->extack, info->attrs[LUNATIK_A_DATA], -EINVAL,
			      "DATA beside MESSAGE");
	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != LUNATIK_A_MESSAGE)
			continue;
		err = check_data(attr, info);
		if (err)
			return err;
		senddata.run.count++;
	}
	return run(skb, info, &senddata.run, true);
}

static int senddata(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *data = info->attrs[LUNATIK_A_DATA];
	struct senddata senddata = {
		.run.body	= senddata_body,
		.run.count	= 1,
		.type		= LUNATIK_A_DATA,
		.next		= data,
	};
	int err;

	if (info->attrs[LUNATIK_A_MESSAGE])
		return senddata_several(skb, info);
	if (GENL_REQ_ATTR_CHECK(info, LUNATIK_A_DATA))
		return refuse(info->extack, NULL, -EINVAL, "DATA is missing");
	err = check_data(data, info);
	if (err)
		return err;
	return run(skb, info, &senddata.run, false);
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
	    put_u64(msg, LUNATIK_A_ALLOC, atomic64_read(&lnet->charged)) ||
	    nla_put_u32(msg, LUNATIK_A_MAX_STATES, lunatik_max_states()) ||
	    put_u64(msg, LUNATIK_A_MAX_TOTAL_ALLOC, lunatik_max_total_alloc()) ||
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
	return check_request(sock_net(cb->skb->sk), cb->nlh, cb->extack);
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
	cb->min_dump_alloc = DESCRIPTION_MAX;
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

		if (!head || put_description(skb, state)) {
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
	state = find(sock_net(cb->skb->sk), attrs, cb->extack);
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
	    put_u64(skb, LUNATIK_A_LOST, line->sequence - dump->next))
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
		.doit	= dostring,
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
		.doit	= senddata,
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
