// SPDX-License-Identifier: GPL-2.0-only
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include <net/netlink.h>
#include <uapi/linux/lunatik.h>

#include "callback.h"
#include "clock.h"
#include "description.h"
#include "hook.h"
#include "hook_run.h"
#include "lib/lib.h"
#include "lua/registry.h"
#include "netfilter.h"
#include "netns.h"
#include "packet.h"
#include "run.h"
#include "share.h"
#include "state.h"

static void reap_later(struct work_struct *work)
{
	struct lunatik_state *state = container_of(work, struct lunatik_state, hooks.reap);
	u64 now;

	/* Who closes the state takes its hooks, too. */
	if (lunatik_state_lock(state, U64_MAX, &now))
		return;
	lunatik_hooks_reap(state);
	lunatik_state_unlock(state);
}

void lunatik_hooks_init(struct lunatik_hooks *hooks)
{
	spin_lock_init(&hooks->lock);
	INIT_LIST_HEAD(&hooks->list);
	INIT_WORK(&hooks->reap, reap_later);
}

/* The sum of the slots, as of some moment. */
static void add_up(const struct lunatik_hook *hook, struct lunatik_slot *sum)
{
	unsigned int i, v;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < hook->state->nreplicas; i++) {
		const struct lunatik_slot *slot = &hook->slots[i];

		sum->errors += READ_ONCE(slot->errors);
		sum->deadline_kills += READ_ONCE(slot->deadline_kills);
		sum->run_time += READ_ONCE(slot->run_time);
		for (v = 0; v < LUNATIK_VERDICTS; v++)
			sum->verdicts[v] += READ_ONCE(slot->verdicts[v]);
	}
	for (v = 0; v < LUNATIK_VERDICTS; v++)
		sum->calls += sum->verdicts[v];
	sum->calls += sum->errors;
}

/* Takes it from its device. Under lnet->device_lock. */
static void leave_device(struct lunatik_hook *hook)
{
	struct lunatik_hooks *hooks = &hook->state->hooks;

	nf_unregister_net_hook(hook->state->lnet->net, &hook->ops);
	list_del(&hook->by_device);
	spin_lock_bh(&hooks->lock);
	hook->ops.dev = NULL;
	hook->dead = true;
	spin_unlock_bh(&hooks->lock);
}

static void unregister_netfilter(struct lunatik_hook *hook)
{
	struct lunatik_net *lnet = hook->state->lnet;

	if (!hook->of_device) {
		nf_unregister_net_hook(lnet->net, &hook->ops);
		return;
	}
	mutex_lock(&lnet->device_lock);
	if (hook->ops.dev)
		leave_device(hook);
	mutex_unlock(&lnet->device_lock);
}

void lunatik_hooks_drop_device(struct lunatik_net *lnet, const struct net_device *dev)
{
	struct lunatik_hook *hook, *next;

	mutex_lock(&lnet->device_lock);
	list_for_each_entry_safe(hook, next, &lnet->device_hooks, by_device) {
		if (hook->ops.dev != dev)
			continue;
		leave_device(hook);
		/* The state is there as long as the hook is in the list. */
		schedule_work(&hook->state->hooks.reap);
	}
	mutex_unlock(&lnet->device_lock);
}

/* What it took, on this CPU if it knows, since that was charged (ticks). BH disabled. */
static u64 uncharged(const struct lunatik_hook *hook)
{
	unsigned int index = hook->state->nreplicas > 1 ? smp_processor_id() : 0;
	const struct lunatik_slot *slot = &hook->slots[index];
	u64 took = READ_ONCE(slot->run_time) + lunatik_share_step - READ_ONCE(slot->charge_at);

	/* It may be charged at this moment. */
	return min(took, lunatik_share_step);
}

/* Out of what the state has; the kernel does not know it any more. */
static void forget(struct lunatik_hook *hook)
{
	struct lunatik_hooks *hooks = &hook->state->hooks;
	struct lunatik_slot sum;

	spin_lock_bh(&hooks->lock);
	lunatik_share_charge_hooks(hook->state->lnet, uncharged(hook));
	if (rcu_access_pointer(hooks->single[hook->kind]) == hook)
		RCU_INIT_POINTER(hooks->single[hook->kind], NULL);
	add_up(hook, &sum);
	hooks->past_runs += sum.calls;
	hooks->past_run_time += sum.run_time;
	list_del(&hook->list);
	__clear_bit(hook->index, hooks->used);
	WRITE_ONCE(hooks->count, hooks->count - 1);
	spin_unlock_bh(&hooks->lock);
}

static void take_from_kernel(struct lunatik_hook *hook)
{
	if (hook->kind == LUNATIK_HOOK_NETFILTER)
		unregister_netfilter(hook);
	forget(hook);
}

static size_t size_of(const struct lunatik_state *state)
{
	return struct_size_t(struct lunatik_hook, slots, state->nreplicas);
}

static void uncharge(struct lunatik_replica *replica, size_t size)
{
	lunatik_replica_lock(replica);
	lunatik_heap_uncharge(&replica->heap, size);
	spin_unlock_bh(&replica->lock);
}

static unsigned int index_of(const struct lunatik_replica *replica)
{
	return replica - replica->state->replicas;
}

static struct lunatik_slot *slot_of(struct lunatik_hook *hook, const struct lunatik_replica *replica)
{
	return &hook->slots[index_of(replica)];
}

static struct lunatik_hook *find_dead(struct lunatik_hooks *hooks)
{
	struct lunatik_hook *hook, *dead = NULL;

	spin_lock_bh(&hooks->lock);
	list_for_each_entry(hook, &hooks->list, list) {
		if (hook->dead) {
			dead = hook;
			break;
		}
	}
	spin_unlock_bh(&hooks->lock);
	return dead;
}

/* The functions that it still has, as when its device went, may be collected. */
static void drop_functions(struct lunatik_hook *hook)
{
	struct lunatik_state *state = hook->state;
	struct lunatik_replica *replica;
	struct lunatik_slot *slot;

	for (replica = state->replicas; replica < state->replicas + state->nreplicas; replica++) {
		if (!replica->L)
			continue;
		slot = slot_of(hook, replica);
		lunatik_replica_lock(replica);
		if (slot->function)
			lunatik_call_clear(replica->callbacks, LUNATIK_CALLBACK_HOOKS + hook->index);
		slot->function = false;
		spin_unlock_bh(&replica->lock);
	}
}

void lunatik_hooks_reap(struct lunatik_state *state)
{
	struct lunatik_hook *hook;

	while ((hook = find_dead(&state->hooks))) {
		drop_functions(hook);
		take_from_kernel(hook);
		uncharge(hook->payer, size_of(state));
		kvfree_rcu(hook, rcu);
	}
}

void lunatik_hooks_stop(struct lunatik_state *state)
{
	struct lunatik_hooks *hooks = &state->hooks;
	struct lunatik_hook *hook, *next;

	cancel_work_sync(&hooks->reap);
	list_for_each_entry_safe(hook, next, &hooks->list, list) {
		take_from_kernel(hook);
		uncharge(hook->payer, size_of(state));
		kvfree_rcu(hook, rcu);
	}
	/* A device may have gone meanwhile. */
	cancel_work_sync(&hooks->reap);
}

static bool is_alike(const struct lunatik_hook *hook, const struct lunatik_hook *other)
{
	return hook->kind == other->kind && hook->on_error == other->on_error &&
	       hook->ops.pf == other->ops.pf && hook->ops.hooknum == other->ops.hooknum &&
	       hook->ops.priority == other->ops.priority && hook->ops.dev == other->ops.dev;
}

/* One like `new` that another replica registered and this one has not yet. Under hooks->lock. */
static struct lunatik_hook *find_alike(struct lunatik_replica *replica,
				       const struct lunatik_hook *new)
{
	struct lunatik_hook *hook;

	list_for_each_entry(hook, &replica->state->hooks.list, list)
		if (!hook->dead && is_alike(hook, new) && !slot_of(hook, replica)->joined)
			return hook;
	return NULL;
}

/* Gives it a place among the state's. Under hooks->lock. */
static int add(struct lunatik_hooks *hooks, struct lunatik_hook *hook)
{
	unsigned int index = find_first_zero_bit(hooks->used, LUNATIK_HOOKS_MAX);

	if (index == LUNATIK_HOOKS_MAX)
		return -EDQUOT;
	if (hook->kind != LUNATIK_HOOK_NETFILTER) {
		if (rcu_access_pointer(hooks->single[hook->kind]))
			return -EEXIST;
		rcu_assign_pointer(hooks->single[hook->kind], hook);
	}
	hook->index = index;
	hook->id = ++hooks->last_id;
	__set_bit(index, hooks->used);
	list_add_tail(&hook->list, &hooks->list);
	WRITE_ONCE(hooks->count, hooks->count + 1);
	return 0;
}

/* Of one of a device under lnet->device_lock. */
static int register_netfilter(struct lunatik_hook *hook)
{
	struct lunatik_net *lnet = hook->state->lnet;
	int err = nf_register_net_hook(lnet->net, &hook->ops);

	if (!err && hook->of_device)
		list_add_tail(&hook->by_device, &lnet->device_hooks);
	return err;
}

/* Makes the replica take part in a hook, in `new` unless there is one already. May sleep. */
static int join(struct lunatik_replica *replica, struct lunatik_hook *new,
		struct lunatik_hook **joined)
{
	struct lunatik_hooks *hooks = &replica->state->hooks;
	struct lunatik_hook *hook;
	int err = 0;

	spin_lock_bh(&hooks->lock);
	hook = find_alike(replica, new);
	if (!hook) {
		hook = new;
		err = add(hooks, hook);
	}
	if (!err) {
		slot_of(hook, replica)->joined = true;
		hook->live++;
	}
	spin_unlock_bh(&hooks->lock);
	if (err)
		return err;
	if (hook == new && hook->kind == LUNATIK_HOOK_NETFILTER) {
		err = register_netfilter(hook);
		if (err)
			forget(hook);
	}
	*joined = hook;
	return err;
}

/*
 * In one of a device. Who finds it in its namespace does so before it is taken from
 * there, which then has to wait for the lock: it needs no reference.
 */
static int join_device(struct lunatik_replica *replica, const char *name, struct lunatik_hook *new,
		       struct lunatik_hook **joined)
{
	struct lunatik_net *lnet = replica->state->lnet;
	int err = -ENODEV;

	mutex_lock(&lnet->device_lock);
	rcu_read_lock();
	new->ops.dev = dev_get_by_name_rcu(lnet->net, name);
	rcu_read_unlock();
	if (new->ops.dev)
		err = join(replica, new, joined);
	mutex_unlock(&lnet->device_lock);
	return err;
}

static struct lunatik_hook *hook_new(struct lunatik_replica *replica,
				     const struct lunatik_hook_spec *spec)
{
	struct lunatik_hook *hook = kvzalloc(size_of(replica->state), LUNATIK_GFP_KERNEL);
	unsigned int i;

	if (!hook)
		return NULL;
	hook->state = replica->state;
	hook->payer = replica;
	hook->kind = spec->kind;
	hook->on_error = spec->on_error;
	hook->ops.hook = lunatik_netfilter_hookfn(spec->family, spec->number);
	hook->ops.priv = hook;
	hook->ops.pf = spec->family;
	hook->ops.hooknum = spec->number;
	hook->ops.priority = spec->priority;
	hook->of_device = spec->device;
	strscpy(hook->name, spec->name, sizeof(hook->name));
	for (i = 0; i < replica->state->nreplicas; i++)
		hook->slots[i].charge_at = lunatik_share_step;
	return hook;
}

static void refuse(lua_State *L, const struct lunatik_hook_spec *spec, int err)
{
	switch (err) {
	case -ENOMEM:
		lunatik_lib_nomem(L);
		return;
	case -EDQUOT:
		luaL_error(L, "the state has all the hooks (%d) that it may have", LUNATIK_HOOKS_MAX);
		return;
	case -EEXIST:
		luaL_error(L, "%s: a function is registered already", spec->name);
		return;
	case -ENODEV:
		luaL_error(L, "%s: this namespace has no such device", spec->name);
		return;
	default:
		luaL_error(L, "%s: the kernel refuses the hook (error %d)", spec->name, -err);
	}
}

u64 lunatik_hook_register(lua_State *L, const struct lunatik_hook_spec *spec)
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	size_t size = size_of(replica->state);
	struct lunatik_hook *new, *hook = NULL;
	struct lunatik_pause pause;
	int err;

	if (replica->state->context != LUNATIK_CONTEXT_SOFTIRQ)
		luaL_error(L, "%s: hooks need a state of the context softirq", spec->name);
	lunatik_lib_need_kernel(L);
	lunatik_callbacks_open(L);
	if (!lunatik_heap_charge(&replica->heap, size))
		lunatik_lib_nomem(L);
	if (!lunatik_run_pause(L, &pause)) {
		lunatik_heap_uncharge(&replica->heap, size);
		luaL_error(L, "%s: a callback cannot register hooks", spec->name);
	}
	new = hook_new(replica, spec);
	lunatik_hooks_reap(replica->state);
	if (!new)
		err = -ENOMEM;
	else if (spec->device)
		err = join_device(replica, spec->device, new, &hook);
	else
		err = join(replica, new, &hook);
	if (hook != new || err)
		kvfree_rcu(new, rcu);
	lunatik_run_resume(replica, &pause);
	if (hook != new || err)
		lunatik_heap_uncharge(&replica->heap, size);
	if (err)
		refuse(L, spec, err);
	lunatik_call_set(replica->callbacks, LUNATIK_CALLBACK_HOOKS + hook->index, L);
	slot_of(hook, replica)->function = true;
	/* If its device is gone already, it goes only when this run has ended. */
	return hook->id;
}

/* Under hooks->lock. */
static struct lunatik_hook *find_joined(struct lunatik_replica *replica, u64 id)
{
	struct lunatik_hook *hook;

	list_for_each_entry(hook, &replica->state->hooks.list, list)
		if (hook->id == id && slot_of(hook, replica)->joined)
			return hook;
	return NULL;
}

bool lunatik_hook_is_registered(lua_State *L, u64 id)
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	struct lunatik_hooks *hooks = &replica->state->hooks;
	struct lunatik_hook *hook;
	bool registered;

	spin_lock_bh(&hooks->lock);
	hook = find_joined(replica, id);
	registered = hook && !hook->dead;
	spin_unlock_bh(&hooks->lock);
	return registered;
}

bool lunatik_hook_unregister(lua_State *L, u64 id)
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	struct lunatik_hooks *hooks = &replica->state->hooks;
	struct lunatik_hook *hook;
	bool last = false;

	spin_lock_bh(&hooks->lock);
	hook = find_joined(replica, id);
	if (hook) {
		lunatik_call_clear(replica->callbacks, LUNATIK_CALLBACK_HOOKS + hook->index);
		slot_of(hook, replica)->function = false;
		slot_of(hook, replica)->joined = false;
		last = !--hook->live;
		hook->dead |= last;
	}
	spin_unlock_bh(&hooks->lock);
	if (!hook)
		return false;
	/* The end of a run that may sleep sees to the rest. */
	if (last && !replica->run->may_sleep)
		schedule_work(&hooks->reap);
	return true;
}

/*
 * A packet may come with a lock held, as that of a queue whose packets are classified
 * under it, and the script that it waits for may send something that goes by that
 * queue. Any other has ended after one deadline, if not much sooner.
 */
__cold bool lunatik_hook_wait(struct lunatik_replica *replica)
{
	u64 begin = lunatik_clock();
	bool locked = lunatik_replica_wait(replica, 2 * replica->state->timeout_ticks);

	lunatik_share_charge_hooks(replica->state->lnet, lunatik_clock() - begin);
	return locked;
}

/* What a function returned, if that is no verdict, becomes an error of its own. */
static void no_verdict(struct lunatik_run *run, lua_State *L, enum lunatik_called called,
		       lua_Integer result)
{
	gfp_t gfp = lunatik_gfp(lunatik_guard(L));
	struct lunatik_failure *failure = &run->failure;

	lunatik_run_forget(run);
	if (called == LUNATIK_CALLED_INTEGER)
		failure->text = kasprintf(gfp, "the function returned %lld, which is no verdict",
					  result);
	else
		failure->text = kasprintf(gfp, "the function returned a %s, not a verdict",
					  luaL_typename(L, -1));
	if (failure->text)
		failure->message_len = failure->len = strlen(failure->text);
	run->reported = failure->text;
}

__cold long lunatik_hook_failed(struct lunatik_hook *hook, struct lunatik_slot *slot,
			      struct lunatik_replica *replica, enum lunatik_called called,
			      int status, lua_Integer result)
{
	lua_State *L = replica->callbacks;
	struct lunatik_run *run = &replica->callback;
	long err;

	/* What a program that it called leaves to the next filter. */
	if (hook->kind == LUNATIK_HOOK_TC && called == LUNATIK_CALLED_INTEGER && !run->ended &&
	    result == TC_ACT_UNSPEC) {
		result = lunatik_hook_native(LUNATIK_HOOK_TC);
		slot->verdicts[result]++;
		return result;
	}
	if (called != LUNATIK_CALLED_FAILED) {
		status = LUA_ERRRUN;
		if (!run->ended)
			no_verdict(run, L, called, result);
	}
	err = lunatik_run_failed(replica, run, L, status, hook->name);
	lua_settop(L, LUNATIK_CALLBACK_HOOKS + LUNATIK_HOOKS_MAX - 1);
	slot->errors++;
	if (err == -ETIME)
		slot->deadline_kills++;
	return err;
}

long lunatik_hook_run_by_id(struct lunatik_net *lnet, u32 id, u32 kind,
			   struct lunatik_packet *packet)
{
	struct lunatik_state *state = xa_load(&lnet->states, id);
	struct lunatik_hook *hook;

	if (!state || READ_ONCE(state->closing))
		return -ENOENT;
	hook = rcu_dereference(state->hooks.single[kind]);
	if (!hook)
		return -ENOENT;
	return kind == LUNATIK_HOOK_XDP ? lunatik_hook_run(hook, packet, LUNATIK_HOOK_XDP) :
					  lunatik_hook_run(hook, packet, LUNATIK_HOOK_TC);
}

void lunatik_hooks_add_figures(struct lunatik_state *state, u64 *runs, u64 *run_time)
{
	struct lunatik_hooks *hooks = &state->hooks;
	struct lunatik_hook *hook;
	struct lunatik_slot sum;

	if (!READ_ONCE(hooks->count) && !hooks->past_runs)
		return;
	spin_lock_bh(&hooks->lock);
	*runs += hooks->past_runs;
	*run_time += lunatik_clock_ns(hooks->past_run_time);
	list_for_each_entry(hook, &hooks->list, list) {
		add_up(hook, &sum);
		*runs += sum.calls;
		*run_time += lunatik_clock_ns(sum.run_time);
	}
	spin_unlock_bh(&hooks->lock);
}

static int put_verdict(struct sk_buff *skb, u32 verdict, u64 count)
{
	struct nlattr *nest = nla_nest_start(skb, LUNATIK_A_VERDICT);

	if (!nest || nla_put_u32(skb, LUNATIK_A_VALUE, verdict) ||
	    lunatik_put_u64(skb, LUNATIK_A_COUNT, count))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* By the name that it has now. Someone may be renaming it. */
static int put_device_name(struct sk_buff *skb, const struct net_device *dev)
{
	char name[IFNAMSIZ];

	memcpy(name, dev->name, IFNAMSIZ);
	name[IFNAMSIZ - 1] = '\0';
	return nla_put_string(skb, LUNATIK_A_DEV, name);
}

/* Of one that is not dead. Under hooks->lock. */
static int put_hook(struct sk_buff *skb, const struct lunatik_hook *hook)
{
	struct nlattr *nest = nla_nest_start(skb, LUNATIK_A_HOOK);
	struct lunatik_slot sum;
	u32 v;

	add_up(hook, &sum);
	if (!nest || nla_put_u32(skb, LUNATIK_A_HOOK_KIND, hook->kind) ||
	    nla_put_u32(skb, LUNATIK_A_ON_ERROR, hook->on_error) ||
	    lunatik_put_u64(skb, LUNATIK_A_CALLS, sum.calls) ||
	    lunatik_put_u64(skb, LUNATIK_A_ERRORS, sum.errors) ||
	    lunatik_put_u64(skb, LUNATIK_A_DEADLINE_KILLS, sum.deadline_kills) ||
	    lunatik_put_u64(skb, LUNATIK_A_MISSED, atomic64_read(&hook->missed)) ||
	    lunatik_put_u64(skb, LUNATIK_A_RUN_TIME, lunatik_clock_ns(sum.run_time)))
		return -EMSGSIZE;
	if (hook->kind == LUNATIK_HOOK_NETFILTER &&
	    (nla_put_u32(skb, LUNATIK_A_FAMILY, hook->ops.pf) ||
	     nla_put_u32(skb, LUNATIK_A_HOOK_NUMBER, hook->ops.hooknum) ||
	     nla_put_s32(skb, LUNATIK_A_PRIORITY, hook->ops.priority) ||
	     (hook->of_device && put_device_name(skb, hook->ops.dev))))
		return -EMSGSIZE;
	for (v = 0; v < LUNATIK_VERDICTS; v++)
		if (sum.verdicts[v] && put_verdict(skb, v, sum.verdicts[v]))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

int lunatik_hooks_put(struct lunatik_state *state, struct sk_buff *skb)
{
	struct lunatik_hooks *hooks = &state->hooks;
	struct lunatik_hook *hook;
	int err = 0;

	spin_lock_bh(&hooks->lock);
	list_for_each_entry(hook, &hooks->list, list) {
		if (hook->dead)
			continue;
		err = put_hook(skb, hook);
		if (err)
			break;
	}
	spin_unlock_bh(&hooks->lock);
	return err;
}
