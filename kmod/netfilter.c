// SPDX-License-Identifier: GPL-2.0-only
#include <linux/skbuff.h>
#include <uapi/linux/lunatik.h>

#include "hook_run.h"
#include "netfilter.h"
#include "packet.h"

unsigned int lunatik_netfilter_hook(void *priv, struct sk_buff *skb,
				    const struct nf_hook_state *nf)
{
	struct lunatik_hook *hook = priv;
	struct lunatik_packet packet LUNATIK_UNINITIALIZED;
	long verdict;

	lunatik_packet_init_skb(&packet, LUNATIK_HOOK_NETFILTER, skb, nf->in, nf->out);
	verdict = lunatik_hook_run(hook, &packet, LUNATIK_HOOK_NETFILTER);
	if (likely(verdict >= 0))
		return verdict;
	/* Its function has just been unregistered. */
	if (verdict == -ENOENT || hook->on_error == LUNATIK_ON_ERROR_NATIVE)
		return NF_ACCEPT;
	return NF_DROP;
}
