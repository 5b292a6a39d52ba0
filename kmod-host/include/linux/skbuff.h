/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_SKBUFF_H
#define HOST_LINUX_SKBUFF_H

/* Linear buffers without headroom, exactly as large as asked for. */
#include <asm/byteorder.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/checksum.h>

struct sk_buff {
	struct sk_buff *next;	/* in its list */
	unsigned int len;
	unsigned int size;	/* of data */
	u8 *data;
	/* Of packets */
	__be16 protocol;
	u8 ip_summed;
	s32 csum_start;		/* from data on, as the headers below */
	u16 csum_offset;
	u16 gso_size;
	u32 gso_type;
	s32 network_header, mac_header;
};

#define CHECKSUM_NONE		0
#define CHECKSUM_UNNECESSARY	1
#define CHECKSUM_COMPLETE	2
#define CHECKSUM_PARTIAL	3

#define SKB_GSO_UDP_TUNNEL	(1 << 11)
#define SKB_GSO_UDP_TUNNEL_CSUM	(1 << 12)
#define SKB_GSO_FRAGLIST	(1 << 18)
#define skb_shinfo(skb)			(skb)
#define skb_is_gso(skb)			((skb)->gso_size)
#define skb_headlen(skb)		((skb)->len)
#define skb_network_offset(skb)		((skb)->network_header)
#define skb_mac_offset(skb)		((skb)->mac_header)
#define skb_mac_header_was_set(skb)	true

#define skb_checksum_start_offset(skb)	((skb)->csum_start)

/* What a device does that can compute checksums: over all, to the end. */
static inline int skb_csum_hwoffload_help(struct sk_buff *skb, u64 features)
{
	u8 *start = skb->data + skb->csum_start;
	__sum16 sum;

	WARN_ON_ONCE(skb->csum_start < 0 ||
		     skb->csum_start + skb->csum_offset + sizeof(sum) > skb->len);
	sum = csum_fold(csum_partial(start, skb->len - skb->csum_start, 0)) ?: CSUM_MANGLED_0;
	memcpy(start + skb->csum_offset, &sum, sizeof(sum));
	skb->ip_summed = CHECKSUM_NONE;
	return 0;
}

struct sk_buff_head {
	struct sk_buff *first, **last;
};

static inline struct sk_buff *alloc_skb(unsigned int size, gfp_t gfp)
{
	struct sk_buff *skb = kmalloc(sizeof(*skb), gfp);

	if (!skb)
		return NULL;
	*skb = (struct sk_buff){ .size = size, .data = kmalloc(size, gfp) };
	if (!skb->data) {
		kfree(skb);
		return NULL;
	}
	return skb;
}

static inline void kfree_skb(struct sk_buff *skb)
{
	if (!skb)
		return;
	kfree(skb->data);
	kfree(skb);
}

#define consume_skb(skb)	kfree_skb(skb)

static inline unsigned int skb_tailroom(const struct sk_buff *skb)
{
	return skb->size - skb->len;
}

static inline void *skb_put(struct sk_buff *skb, unsigned int len)
{
	void *tail = skb->data + skb->len;

	WARN_ON_ONCE(len > skb_tailroom(skb));
	skb->len += len;
	return tail;
}

static inline void skb_put_data(struct sk_buff *skb, const void *data, unsigned int len)
{
	memcpy(skb_put(skb, len), data, len);
}

static inline void skb_trim(struct sk_buff *skb, unsigned int len)
{
	if (len < skb->len)
		skb->len = len;
}

static inline void __skb_queue_head_init(struct sk_buff_head *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static inline bool skb_queue_empty(const struct sk_buff_head *list)
{
	return !list->first;
}

static inline struct sk_buff *skb_peek(const struct sk_buff_head *list)
{
	return list->first;
}

static inline void __skb_queue_tail(struct sk_buff_head *list, struct sk_buff *skb)
{
	skb->next = NULL;
	*list->last = skb;
	list->last = &skb->next;
}

/* Of a queue only the first is ever unlinked. */
static inline void __skb_unlink(struct sk_buff *skb, struct sk_buff_head *list)
{
	WARN_ON_ONCE(list->first != skb);
	list->first = skb->next;
	if (!list->first)
		list->last = &list->first;
}

static inline struct sk_buff *__skb_dequeue(struct sk_buff_head *list)
{
	struct sk_buff *skb = list->first;

	if (skb)
		__skb_unlink(skb, list);
	return skb;
}

static inline void __skb_queue_purge(struct sk_buff_head *list)
{
	struct sk_buff *skb;

	while ((skb = list->first)) {
		__skb_unlink(skb, list);
		kfree_skb(skb);
	}
}

static inline void skb_queue_splice_init(struct sk_buff_head *list, struct sk_buff_head *head)
{
	struct sk_buff *skb;

	while ((skb = list->first)) {
		__skb_unlink(skb, list);
		__skb_queue_tail(head, skb);
	}
}

#define skb_queue_walk(list, skb) \
	for (skb = (list)->first; skb; skb = skb->next)

#endif
