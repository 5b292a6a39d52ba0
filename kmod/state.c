// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/hrtimer.h>
#include <linux/jhash.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/rhashtable.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "clock.h"
#include "event.h"
#include "netns.h"
#include "params.h"
#include "session.h"
#include "state.h"

/* States of all namespaces by namespace and name, so that a namespace costs nothing. */
static struct rhashtable names;

/* The module is to go: no run begins any more. */
static bool stopping;

struct name_key {
	const struct lunatik_net *lnet;
	const char *name;
};

static u32 hash_name(const struct lunatik_net *lnet, const char *name, u32 seed)
{
	return jhash(name, strlen(name), seed ^ hash_ptr(lnet, 32));
}

static u32 hash_key(const void *data, u32 len, u32 seed)
{
	const struct name_key *key = data;

	return hash_name(key->lnet, key->name, seed);
}

static u32 hash_state(const void *data, u32 len, u32 seed)
{
	const struct lunatik_state *state = data;

	return hash_name(state->lnet, state->name, seed);
}

static int compare(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct name_key *key = arg->key;
	const struct lunatik_state *state = obj;

	return state->lnet != key->lnet || strcmp(state->name, key->name);
}

static const struct rhashtable_params names_params = {
	.head_offset		= offsetof(struct lunatik_state, by_name),
	.hashfn			= hash_key,
	.obj_hashfn		= hash_state,
	.obj_cmpfn		= compare,
	.automatic_shrinking	= true,
};

/* What a replica's heap is charged for the memory that it lies in. */
static size_t own_size(const struct lunatik_replica *replica)
{
	const struct lunatik_state *state = replica->state;

	return sizeof(*replica) + (replica == state->replicas ? sizeof(*state) : 0);
}

static void free_replicas(struct lunatik_state *state, unsigned int count)
{
	while (count--)
		if (state->replicas[count].L)
			lunatik_replica_uninit(&state->replicas[count],
					       own_size(&state->replicas[count]));
}

static int make_replicas(struct lunatik_state *state)
{
	unsigned int i;
	int err;

	for (i = 0; i < state->nreplicas; i++) {
		struct lunatik_replica *replica = &state->replicas[i];

		replica->state = state;
		/* One for each CPU that there can be, for it comes with what the others have. */
		if (state->nreplicas > 1 && !cpu_possible(i))
			continue;
		err = lunatik_replica_init(replica, state, state->max_alloc, own_size(replica));
		if (err) {
			free_replicas(state, i);
			return err;
		}
	}
	return 0;
}

struct lunatik_state *lunatik_state_new(struct lunatik_net *lnet, const char *name, u32 max_alloc,
					u32 flags, u32 context, u32 timeout)
{
	struct lunatik_state *state;
	unsigned int nreplicas = flags & LUNATIK_F_PERCPU ? nr_cpu_ids : 1;
	int err;

	state = kvzalloc(struct_size(state, replicas, nreplicas), GFP_KERNEL_ACCOUNT);
	if (!state)
		return ERR_PTR(-ENOMEM);
	state->lnet = lnet;
	state->flags = flags;
	state->context = context;
	state->max_alloc = max_alloc;
	state->timeout = timeout;
	state->timeout_ticks = lunatik_clock_of_us(timeout);
	state->created = ktime_get_real_ns();
	state->nreplicas = nreplicas;
	strscpy(state->name, name, sizeof(state->name));
	refcount_set(&state->users, 1);
	init_waitqueue_head(&state->waiters);
	INIT_LIST_HEAD(&state->refs);
	spin_lock_init(&state->subscribers_lock);
	INIT_LIST_HEAD(&state->subscribers);
	lunatik_outbox_init(state);
	lunatik_log_init(&state->log);
	lunatik_hooks_init(&state->hooks);
	lunatik_timers_init_state(state);
	err = context == LUNATIK_CONTEXT_SOFTIRQ ? lunatik_netns_make_worker(&lnet->messages) : 0;
	if (!err)
		err = make_replicas(state);
	if (err) {
		kvfree(state);
		return ERR_PTR(err);
	}
	return state;
}

/* No callback begins any more. */
static void lock_out(struct lunatik_state *state)
{
	struct lunatik_replica *replica;

	for (replica = state->replicas; replica < state->replicas + state->nreplicas; replica++) {
		if (!replica->L)
			continue;
		spin_lock_bh(&replica->lock);
		replica->held = true;
		spin_unlock_bh(&replica->lock);
	}
}

static void state_free(struct lunatik_state *state)
{
	might_sleep();
	lock_out(state);
	lunatik_hooks_stop(state);
	lunatik_timers_stop(state);
	lunatik_outbox_stop(state);
	free_replicas(state, state->nreplicas);
	kvfree_rcu(state, rcu);
}

int lunatik_state_link(struct lunatik_state *state)
{
	struct lunatik_net *lnet = state->lnet;
	int err;

	lockdep_assert_held(&lnet->lock);
	if (lnet->nstates >= lunatik_max_states())
		return -EDQUOT;
	/* The id first, so that whoever finds the state by name sees it. */
	err = xa_alloc_cyclic(&lnet->states, &state->id, NULL, xa_limit_32b, &lnet->next_id,
			      GFP_KERNEL_ACCOUNT);
	if (err < 0)
		return err == -EBUSY ? -EDQUOT : err;
	err = rhashtable_lookup_insert_key(&names,
					   &(struct name_key){ lnet, state->name },
					   &state->by_name, names_params);
	if (err) {
		xa_release(&lnet->states, state->id);
		return err == -EEXIST ? err : -ENOMEM;
	}
	/* Into the place reserved above: cannot fail. */
	xa_store(&lnet->states, state->id, state, GFP_KERNEL);
	WRITE_ONCE(lnet->nstates, lnet->nstates + 1);
	lnet->generation += 2;
	return 0;
}

void lunatik_state_unlink(struct lunatik_state *state)
{
	struct lunatik_net *lnet = state->lnet;

	lockdep_assert_held(&lnet->lock);
	WRITE_ONCE(state->closing, true);
	rhashtable_remove_fast(&names, &state->by_name, names_params);
	xa_erase(&lnet->states, state->id);
	WRITE_ONCE(lnet->nstates, lnet->nstates - 1);
	lnet->generation += 2;
	lunatik_event_closed(state);
	lunatik_session_forget(state);
	wake_up_all(&state->waiters);
}

struct lunatik_state *lunatik_state_by_name(struct lunatik_net *lnet, const char *name)
{
	struct lunatik_state *state;

	rcu_read_lock();
	state = rhashtable_lookup(&names, &(struct name_key){ lnet, name }, names_params);
	if (state && !refcount_inc_not_zero(&state->users))
		state = NULL;
	rcu_read_unlock();
	return state;
}

struct lunatik_state *lunatik_state_by_id(struct lunatik_net *lnet, u32 id)
{
	struct lunatik_state *state;

	rcu_read_lock();
	state = xa_load(&lnet->states, id);
	if (state && !refcount_inc_not_zero(&state->users))
		state = NULL;
	rcu_read_unlock();
	return state;
}

void lunatik_state_put(struct lunatik_state *state)
{
	if (refcount_dec_and_test(&state->users))
		state_free(state);
}

bool lunatik_state_bound(const struct lunatik_state *state)
{
	const struct lunatik_replica *replica;

	if (READ_ONCE(state->hooks.count))
		return true;
	for (replica = state->replicas; replica < state->replicas + state->nreplicas; replica++)
		if (READ_ONCE(replica->timers.count))
			return true;
	return false;
}

static bool closing(const struct lunatik_state *state)
{
	return READ_ONCE(state->closing) || READ_ONCE(stopping);
}

static bool trylock(struct lunatik_state *state)
{
	return !test_and_set_bit_lock(0, &state->locked);
}

static int wait_for_lock(struct lunatik_state *state, u64 end)
{
	DEFINE_WAIT(wait);
	int err = 0;

	for (;;) {
		u64 now = ktime_get_ns();

		prepare_to_wait_exclusive(&state->waiters, &wait, TASK_KILLABLE);
		if (closing(state)) {
			err = -ESHUTDOWN;
			break;
		}
		if (trylock(state))
			break;
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		if (now >= end) {
			err = -ETIME;
			break;
		}
		schedule_timeout(min(nsecs_to_jiffies(end - now), (unsigned long)MAX_JIFFY_OFFSET) + 1);
	}
	finish_wait(&state->waiters, &wait);
	/* Who gives up may have been the one that was woken. */
	if (err)
		wake_up(&state->waiters);
	return err;
}

int lunatik_state_lock(struct lunatik_state *state, u64 end, u64 *now)
{
	might_sleep();
	if (!trylock(state)) {
		int err = wait_for_lock(state, end);

		if (err)
			return err;
		*now = ktime_get_ns();
	}
	if (closing(state)) {
		lunatik_state_unlock(state);
		return -ESHUTDOWN;
	}
	return 0;
}

void lunatik_state_unlock(struct lunatik_state *state)
{
	clear_bit_unlock(0, &state->locked);
	if (wq_has_sleeper(&state->waiters))
		wake_up(&state->waiters);
}

int lunatik_state_rest(struct lunatik_state *state, u64 then, u64 end)
{
	ktime_t expires = ns_to_ktime(then);
	DEFINE_WAIT(wait);
	int err = 0;

	if (then > end)
		return -ETIME;
	prepare_to_wait(&state->waiters, &wait, TASK_KILLABLE);
	if (!closing(state))
		schedule_hrtimeout(&expires, HRTIMER_MODE_ABS);
	finish_wait(&state->waiters, &wait);
	if (closing(state))
		err = -ESHUTDOWN;
	else if (fatal_signal_pending(current))
		err = -EINTR;
	return err;
}

void lunatik_state_close_all(struct lunatik_net *lnet)
{
	struct lunatik_state *state;
	unsigned long id;

	xa_for_each(&lnet->states, id, state) {
		mutex_lock(&lnet->lock);
		lunatik_state_unlink(state);
		mutex_unlock(&lnet->lock);
		lunatik_state_put(state);
	}
}

void lunatik_state_stop_all(void)
{
	struct rhashtable_iter iter;
	struct lunatik_state *state;

	WRITE_ONCE(stopping, true);
	/* Whoever did not see that runs a state that the walk meets. */
	smp_mb();
	rhashtable_walk_enter(&names, &iter);
	rhashtable_walk_start(&iter);
	while ((state = rhashtable_walk_next(&iter)))
		/* -EAGAIN: the table is being resized; the walk starts over. */
		if (!IS_ERR(state))
			WRITE_ONCE(state->closing, true);
	rhashtable_walk_stop(&iter);
	rhashtable_walk_exit(&iter);
}

int __init lunatik_state_init(void)
{
	return rhashtable_init(&names, &names_params);
}

void lunatik_state_uninit(void)
{
	rhashtable_destroy(&names);
}
