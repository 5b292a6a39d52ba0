// SPDX-License-Identifier: GPL-2.0-only
#include <linux/gfp.h>
#include <linux/rcupdate.h>

#include "keep.h"

DEFINE_PER_CPU(struct lunatik_keep, lunatik_keep);

bool lunatik_keep_prepare(void)
{
	struct sk_buff *spare;

	if (lunatik_keep_is_prepared())
		return true;
	/* Beforehand: some kernels write to a CPU's own with interrupts off, the value included. */
	spare = alloc_skb(0, GFP_ATOMIC | __GFP_NOWARN);
	this_cpu_write(lunatik_keep.spare, spare);
	return spare;
}

static void free_spare(struct rcu_head *rcu)
{
	consume_skb(container_of((void *)rcu, struct sk_buff, cb));
}

/*
 * The spare becomes a clone of the skb, and then has the bytes that were kept in the
 * place of the present ones. What is freed with bytes are they and their fragments.
 */
__cold void lunatik_keep_later(struct sk_buff *skb)
{
	const struct lunatik_keep *keep = this_cpu_ptr(&lunatik_keep);
	struct sk_buff *spare = skb_morph(keep->spare, skb);

	BUILD_BUG_ON(sizeof(struct rcu_head) > sizeof(spare->cb));
	atomic_dec(&skb_shinfo(skb)->dataref);
	spare->head = keep->head;
	skb_set_end_offset(spare, (unsigned char *)keep->info - keep->head);
	*((u8 *)spare + CLONED_OFFSET) = keep->flags;
	spare->cloned = 1;
	spare->nohdr = 0;
	spare->fclone = SKB_FCLONE_UNAVAILABLE;
	this_cpu_write(lunatik_keep.spare, NULL);
	call_rcu((struct rcu_head *)spare->cb, free_spare);
}

void lunatik_keep_uninit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		consume_skb(per_cpu(lunatik_keep.spare, cpu));
}
