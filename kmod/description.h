/* SPDX-License-Identifier: GPL-2.0-only */
/* What there is to know of a state from outside. */
#ifndef LUNATIK_DESCRIPTION_H
#define LUNATIK_DESCRIPTION_H

#include <linux/sizes.h>
#include <net/netlink.h>

struct lunatik_state;

/* Bytes of a description with all the hooks and verdicts that there can be, about twice. */
#define LUNATIK_DESCRIPTION_MAX	SZ_32K

/* Without padding: readers take unaligned integers. 0 or -EMSGSIZE. */
static inline int lunatik_put_u64(struct sk_buff *skb, int type, u64 value)
{
	return nla_put(skb, type, sizeof(value), &value);
}

/* Puts its attributes into the message: 0 or -EMSGSIZE. */
int lunatik_description_put(struct sk_buff *skb, struct lunatik_state *state);

#endif
