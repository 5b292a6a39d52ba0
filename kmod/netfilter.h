/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_NETFILTER_H
#define LUNATIK_NETFILTER_H

#include <linux/netfilter.h>

/* An nf_hookfn; priv is a struct lunatik_hook. */
unsigned int lunatik_netfilter_hook(void *priv, struct sk_buff *skb,
				    const struct nf_hook_state *nf);

#endif
