// SPDX-License-Identifier: GPL-2.0-only
#include <linux/workqueue.h>
#include <net/netns/generic.h>

#include "lua/image.h"
#include "netns.h"
#include "params.h"
#include "session.h"
#include "share.h"
#include "state.h"

static unsigned int lunatik_net_id;

struct lunatik_net *lunatik_net(const struct net *net)
{
	return net_generic(net, lunatik_net_id);
}

bool lunatik_netns_charge(struct lunatik_net *lnet, u32 bytes)
{
	if (atomic64_add_return(bytes, &lnet->charged) <= lunatik_max_total_alloc())
		return true;
	atomic64_sub(bytes, &lnet->charged);
	return false;
}

void lunatik_netns_uncharge(struct lunatik_net *lnet, u32 bytes)
{
	atomic64_sub(bytes, &lnet->charged);
}

int lunatik_netns_make_worker(struct workqueue_struct **worker)
{
	struct workqueue_struct *new;

	if (READ_ONCE(*worker))
		return 0;
	new = alloc_ordered_workqueue("lunatik", 0);
	if (!new)
		return -ENOMEM;
	if (cmpxchg(worker, NULL, new))
		destroy_workqueue(new);
	return 0;
}

static void end_worker(struct workqueue_struct *worker)
{
	if (worker)
		destroy_workqueue(worker);
}

static int __net_init netns_init(struct net *net)
{
	struct lunatik_net *lnet = lunatik_net(net);

	lnet->shares = alloc_percpu_gfp(struct lunatik_shares, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!lnet->shares)
		return -ENOMEM;
	lnet->net = net;
	mutex_init(&lnet->lock);
	mutex_init(&lnet->device_lock);
	INIT_LIST_HEAD(&lnet->device_hooks);
	xa_init_flags(&lnet->states, XA_FLAGS_ALLOC1);
	lnet->generation = 1;
	atomic64_set(&lnet->charged, 0);
	hash_init(lnet->sessions);
	return 0;
}

/*
 * The namespace has no sockets left, or the module's family is gone: nobody can
 * start a run or take a reference any more, and no run is under way.
 */
static void __net_exit netns_exit(struct net *net)
{
	struct lunatik_net *lnet = lunatik_net(net);

	lunatik_session_drop_all(lnet);
	lunatik_state_close_all(lnet);
	xa_destroy(&lnet->states);
	end_worker(lnet->timers);
	end_worker(lnet->messages);
	lunatik_image_free(lnet->image);
	free_percpu(lnet->shares);
}

static struct pernet_operations netns_ops = {
	.init	= netns_init,
	.exit	= netns_exit,
	.id	= &lunatik_net_id,
	.size	= sizeof(struct lunatik_net),
};

int __init lunatik_netns_init(void)
{
	return register_pernet_subsys(&netns_ops);
}

void lunatik_netns_uninit(void)
{
	unregister_pernet_subsys(&netns_ops);
}
