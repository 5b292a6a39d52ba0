// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bottom_half.h>
#include <linux/errno.h>
#include <linux/processor.h>
#include <linux/random.h>
#include <linux/ratelimit.h>

#include "clock.h"
#include "lib/lib.h"
#include "netns.h"
#include "object.h"
#include "params.h"
#include "replica.h"
#include "share.h"
#include "state.h"

/* A script that fails for each packet does not fill the log, nor its listeners. */
#define LOGGED_AT_ONCE	10
#define LOG_INTERVAL	HZ

int lunatik_replica_init(struct lunatik_replica *replica, struct lunatik_state *state,
			 u32 max_alloc, size_t own)
{
	struct lunatik_net *lnet = state->lnet;
	int err = -EDQUOT;

	replica->state = state;
	spin_lock_init(&replica->lock);
	ratelimit_state_init(&replica->log_limit, LOG_INTERVAL, LOGGED_AT_ONCE);
	/* The log tells how many, so the kernel's own has not to. */
	ratelimit_set_flags(&replica->log_limit, RATELIMIT_MSG_ON_RELEASE);
	lunatik_deadline_init(&replica->deadline, &state->closing);
	lunatik_heap_init(&replica->heap, lnet, &replica->deadline.guard, max_alloc);
	lunatik_log_share_init(&replica->logged);
	lunatik_timers_init(&replica->timers);
	INIT_LIST_HEAD(&replica->objects);
	prandom_seed_state(&replica->random, get_random_u64());

	if (!lunatik_heap_charge(&replica->heap, own))
		goto err_charge;
	replica->L = lunatik_lib_newstate(replica);
	if (!replica->L) {
		/* A fresh state fits into the least MAX_ALLOC, so it is not the cap. */
		if (atomic64_read(&lnet->charged) + LUNATIK_MAX_ALLOC_MIN <= lunatik_max_total_alloc())
			err = -ENOMEM;
		goto err_lua;
	}
	return 0;

err_lua:
	lunatik_heap_uncharge(&replica->heap, own);
err_charge:
	lunatik_heap_uninit(&replica->heap);
	return err;
}

void lunatik_replica_uninit(struct lunatik_replica *replica, size_t own)
{
	lunatik_lib_closestate(replica);
	lunatik_objects_free(replica);
	lunatik_log_share_free(&replica->logged, &replica->state->log, &replica->heap);
	lunatik_heap_uncharge(&replica->heap, own);
	lunatik_heap_uninit(&replica->heap);
}

void lunatik_replica_lock(struct lunatik_replica *replica)
{
	u64 begin;

	local_bh_disable();
	begin = lunatik_clock();
	spin_lock(&replica->lock);
	lunatik_share_charge_requests(replica->state->lnet, lunatik_clock() - begin);
}

bool lunatik_replica_wait(struct lunatik_replica *replica, u64 most)
{
	u64 begin = lunatik_clock();

	do {
		cpu_relax();
		if (!spin_is_locked(&replica->lock) && spin_trylock(&replica->lock))
			return true;
	} while (lunatik_clock() - begin < most);
	return false;
}
