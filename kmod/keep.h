/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps the bytes of an skb where they are, for who has pointers into them, while
 * someone else may give it others: as a clone would, but without one as long as
 * the bytes stay, which is nearly always.
 */
#ifndef LUNATIK_KEEP_H
#define LUNATIK_KEEP_H

#include <linux/percpu.h>
#include <linux/skbuff.h>

/* Of a CPU. */
struct lunatik_keep {
	struct sk_buff *spare;	/* frees bytes that were exchanged; NULL without one yet */
	unsigned char *head;	/* the bytes */
	struct skb_shared_info *info;
	u8 flags;		/* how they are freed */
};

DECLARE_PER_CPU(struct lunatik_keep, lunatik_keep);

/* What a packet needs that is to be kept. Bottom halves are off. False without memory. */
bool lunatik_keep_prepare(void);

static __always_inline bool lunatik_keep_is_prepared(void)
{
	return this_cpu_read(lunatik_keep.spare);
}

/*
 * From here the skb's bytes have one user more, so whoever wants to write to them or
 * to move them takes a copy. Bottom halves are off, and on this CPU nobody else keeps
 * anything, until the end.
 */
static __always_inline void lunatik_keep_begin(struct sk_buff *skb)
{
	struct skb_shared_info *info = skb_shinfo(skb);

	this_cpu_write(lunatik_keep.head, skb->head);
	this_cpu_write(lunatik_keep.info, info);
	this_cpu_write(lunatik_keep.flags, *((u8 *)skb + CLONED_OFFSET));
	skb->cloned = 1;
	atomic_inc(&info->dataref);
}

/* Whether it has others now, elsewhere, for the old ones are still in use. */
static __always_inline bool lunatik_keep_has_moved(const struct sk_buff *skb)
{
	return skb->head != this_cpu_read(lunatik_keep.head);
}

/* It has not. */
static __always_inline void lunatik_keep_end(void)
{
	atomic_dec(&this_cpu_read(lunatik_keep.info)->dataref);
}

/* It has: the old ones go when all who read under RCU have ended. */
void lunatik_keep_later(struct sk_buff *skb);

/* Nobody keeps anything any more, but bytes may be still to go. */
void lunatik_keep_uninit(void);

#endif
