// SPDX-License-Identifier: GPL-2.0-only
#include <linux/hash.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include <net/sock.h>

#include "netlink.h"
#include "netns.h"
#include "outbox.h"
#include "session.h"
#include "stack.h"
#include "state.h"

/*
 * Two sockets may have one port id for a moment: one that is being released and
 * its successor. So a session is known by its socket, which it keeps from being
 * freed (not from being closed).
 */
struct session {
	struct hlist_node node;		/* lnet->sessions, by port id */
	struct sock *sk;
	u32 portid;
	struct list_head refs;
};

struct ref {
	struct list_head in_session;
	struct list_head in_state;
	struct list_head subscriber;	/* state->subscribers_lock; empty if none */
	struct session *session;
	struct lunatik_state *state;
	u32 control;
	u32 count;
};

static struct session *find(struct lunatik_net *lnet, const struct lunatik_peer *peer)
{
	struct session *session;

	hash_for_each_possible(lnet->sessions, session, node, peer->portid)
		if (session->sk == peer->sk)
			return session;
	return NULL;
}

static struct ref *find_ref(const struct lunatik_state *state, const struct lunatik_peer *peer)
{
	struct ref *ref;

	list_for_each_entry(ref, &state->refs, in_state)
		if (ref->session->sk == peer->sk)
			return ref;
	return NULL;
}

static struct session *session_new(struct lunatik_net *lnet, const struct lunatik_peer *peer)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL_ACCOUNT);

	if (!session)
		return NULL;
	sock_hold(peer->sk);
	session->sk = peer->sk;
	session->portid = peer->portid;
	INIT_LIST_HEAD(&session->refs);
	hash_add(lnet->sessions, &session->node, session->portid);
	return session;
}

static void session_put_if_unused(struct session *session)
{
	if (!list_empty(&session->refs))
		return;
	hash_del(&session->node);
	sock_put(session->sk);
	kfree(session);
}

static void subscribe(struct ref *ref)
{
	struct lunatik_state *state = ref->state;

	spin_lock_bh(&state->subscribers_lock);
	list_add_tail(&ref->subscriber, &state->subscribers);
	state->nsubscribers++;
	spin_unlock_bh(&state->subscribers_lock);
}

static void unsubscribe(struct ref *ref)
{
	struct lunatik_state *state = ref->state;

	spin_lock_bh(&state->subscribers_lock);
	if (!list_empty(&ref->subscriber)) {
		list_del_init(&ref->subscriber);
		state->nsubscribers--;
	}
	spin_unlock_bh(&state->subscribers_lock);
}

static void ref_free(struct ref *ref)
{
	struct lunatik_state *state = ref->state;

	unsubscribe(ref);
	state->nrefs -= ref->count;
	list_del(&ref->in_state);
	list_del(&ref->in_session);
	kfree(ref);
}

int lunatik_session_ref(struct lunatik_state *state, const struct lunatik_peer *peer,
			bool *subscriber)
{
	struct lunatik_net *lnet = state->lnet;
	struct session *session;
	struct ref *ref;

	lockdep_assert_held(&lnet->lock);
	ref = find_ref(state, peer);
	*subscriber = *subscriber && (!ref || list_empty(&ref->subscriber));
	if (state->nrefs == U32_MAX ||
	    (*subscriber && state->nsubscribers >= LUNATIK_SUBSCRIBERS_MAX))
		return -EDQUOT;
	if (!ref) {
		session = find(lnet, peer) ?: session_new(lnet, peer);
		if (!session)
			return -ENOMEM;
		ref = kzalloc(sizeof(*ref), GFP_KERNEL_ACCOUNT);
		if (!ref) {
			session_put_if_unused(session);
			return -ENOMEM;
		}
		ref->session = session;
		ref->state = state;
		INIT_LIST_HEAD(&ref->subscriber);
		list_add(&ref->in_session, &session->refs);
		list_add(&ref->in_state, &state->refs);
	}
	ref->control = peer->control;
	ref->count++;
	state->nrefs++;
	if (*subscriber)
		subscribe(ref);
	return 0;
}

static bool unlink_if_last(struct lunatik_state *state)
{
	if (state->nrefs || !(state->flags & LUNATIK_F_EPHEMERAL))
		return false;
	lunatik_state_unlink(state);
	return true;
}

int lunatik_session_unref(struct lunatik_state *state, const struct lunatik_peer *peer,
			  bool unsub, bool *last)
{
	struct session *session;
	struct ref *ref;

	lockdep_assert_held(&state->lnet->lock);
	*last = false;
	ref = find_ref(state, peer);
	if (!ref)
		return -ENOENT;
	if (ref->count > 1) {
		if (unsub)
			unsubscribe(ref);
		ref->count--;
		state->nrefs--;
		return 0;
	}
	session = ref->session;
	ref_free(ref);
	session_put_if_unused(session);
	*last = unlink_if_last(state);
	return 0;
}

bool lunatik_session_others(const struct lunatik_state *state, const struct lunatik_peer *peer)
{
	const struct ref *ref;

	lockdep_assert_held(&state->lnet->lock);
	list_for_each_entry(ref, &state->refs, in_state)
		if (ref->session->sk != peer->sk && ref->control != peer->control)
			return true;
	return false;
}

void lunatik_session_forget(struct lunatik_state *state)
{
	struct ref *ref, *next;

	lockdep_assert_held(&state->lnet->lock);
	list_for_each_entry_safe(ref, next, &state->refs, in_state) {
		struct session *session = ref->session;

		ref_free(ref);
		session_put_if_unused(session);
	}
}

/* States whose last reference goes are unlinked and put on the list. */
static void session_drop(struct session *session, struct list_head *closed)
{
	struct ref *ref, *next;

	list_for_each_entry_safe(ref, next, &session->refs, in_session) {
		struct lunatik_state *state = ref->state;

		ref_free(ref);
		if (unlink_if_last(state))
			list_add(&state->refs, closed);
	}
	session_put_if_unused(session);
}

/* Closing takes its time, and the namespace's lock is not for that. */
static void put_closed(struct list_head *closed)
{
	struct lunatik_state *state, *next;

	list_for_each_entry_safe(state, next, closed, refs) {
		list_del_init(&state->refs);
		lunatik_state_put(state);
	}
}

void lunatik_session_drop_all(struct lunatik_net *lnet)
{
	struct session *session;
	struct hlist_node *next;
	LIST_HEAD(closed);
	int bucket;

	mutex_lock(&lnet->lock);
	hash_for_each_safe(lnet->sessions, bucket, next, session, node)
		session_drop(session, &closed);
	mutex_unlock(&lnet->lock);
	put_closed(&closed);
}

static struct session *find_dead(struct lunatik_net *lnet, u32 portid)
{
	struct session *session;

	hash_for_each_possible(lnet->sessions, session, node, portid)
		if (session->portid == portid && sock_flag(session->sk, SOCK_DEAD))
			return session;
	return NULL;
}

/* A netlink socket is released: process context, may sleep. */
static int on_release(struct notifier_block *block, unsigned long event, void *data)
{
	struct netlink_notify *notify = data;
	struct lunatik_net *lnet;
	struct session *session;
	LIST_HEAD(closed);

	if (event != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	lnet = lunatik_net(notify->net);
	if (hlist_empty(&lnet->sessions[hash_min(notify->portid, LUNATIK_SESSION_BITS)]))
		return NOTIFY_DONE;
	mutex_lock(&lnet->lock);
	session = find_dead(lnet, notify->portid);
	if (session)
		session_drop(session, &closed);
	mutex_unlock(&lnet->lock);
	put_closed(&closed);
	return NOTIFY_DONE;
}

static struct notifier_block release_notifier = {
	.notifier_call = on_release,
};

/* How many got it. Under subscribers_lock or lnet->lock. */
static int send(struct lunatik_state *state, struct sk_buff *skb)
{
	int delivered = 0;
	struct ref *ref;

	list_for_each_entry(ref, &state->subscribers, subscriber) {
		struct sk_buff *clone = skb_clone(skb, GFP_ATOMIC);

		if (clone && !genlmsg_unicast(state->lnet->net, clone, ref->session->portid))
			delivered++;
	}
	return delivered;
}

int lunatik_session_send(struct lunatik_state *state, struct sk_buff *skb)
{
	lockdep_assert_held(&state->lnet->lock);
	return send(state, skb);
}

/* A message that nobody gets has a number, too, so that its lack shows. */
static void count(struct lunatik_replica *replica)
{
	if (lunatik_outbox_needed(replica))
		lunatik_outbox_lost(replica->state);
	else
		atomic64_inc(&replica->state->sent);
}

/*
 * What is sent under it may wait for locks of packets that wait for the replica. So a
 * run that may not sleep waits no longer than it may take.
 */
static bool lock_subscribers(struct lunatik_replica *replica)
{
	const struct lunatik_deadline *deadline = &replica->deadline;
	struct lunatik_state *state = replica->state;

	if (!deadline->guard.atomic) {
		spin_lock_bh(&state->subscribers_lock);
		return true;
	}
	while (!spin_trylock_bh(&state->subscribers_lock)) {
		if (!lunatik_deadline_left(deadline, lunatik_clock()))
			return false;
		cpu_relax();
	}
	return true;
}

int lunatik_session_deliver(struct lunatik_state *state, struct sk_buff *skb, void *sequence,
			    u64 lost)
{
	/* Messages of other replicas come in the order of their numbers, too. */
	u64 number = atomic64_add_return(lost + 1, &state->sent);
	int delivered;

	lockdep_assert_held(&state->subscribers_lock);
	memcpy(sequence, &number, sizeof(number));
	delivered = send(state, skb);
	consume_skb(skb);
	return delivered;
}

int lunatik_session_publish(struct lunatik_replica *replica, const char *data, size_t len)
{
	struct lunatik_state *state = replica->state;
	int delivered = READ_ONCE(state->nsubscribers);
	struct nlattr *sequence = NULL;
	struct sk_buff *skb;
	void *head;

	if (!delivered) {
		count(replica);
		return 0;
	}
	skb = genlmsg_new(nla_total_size(len) + nla_total_size(sizeof(state->name)) +
			  nla_total_size(sizeof(u32)) + nla_total_size(sizeof(u64)),
			  lunatik_gfp(&replica->deadline.guard));
	if (!skb) {
		count(replica);
		return -ENOMEM;
	}
	head = genlmsg_put(skb, 0, 0, &lunatik_family, 0, LUNATIK_CMD_SENDDATA);
	if (head && !nla_put_string(skb, LUNATIK_A_STATE_NAME, state->name) &&
	    !nla_put_u32(skb, LUNATIK_A_STATE_ID, state->id))
		sequence = nla_reserve(skb, LUNATIK_A_SEQUENCE, sizeof(u64));
	if (!sequence || nla_put(skb, LUNATIK_A_DATA, len, data)) {
		kfree_skb(skb);
		count(replica);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	if (lunatik_outbox_needed(replica)) {
		if (!lunatik_outbox_add(state, skb, LUNATIK_OUTBOX_SUBSCRIBERS, sequence))
			return 0;
		return delivered;
	}
	if (!lock_subscribers(replica)) {
		kfree_skb(skb);
		count(replica);
		return 0;
	}
	delivered = lunatik_session_deliver(state, skb, nla_data(sequence),
					    lunatik_outbox_take_lost(state));
	spin_unlock_bh(&state->subscribers_lock);
	return delivered;
}

int __init lunatik_session_init(void)
{
	return netlink_register_notifier(&release_notifier);
}

void lunatik_session_uninit(void)
{
	netlink_unregister_notifier(&release_notifier);
}
