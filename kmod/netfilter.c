// SPDX-License-Identifier: GPL-2.0-only
#include <linux/if_ether.h>
#include <linux/netdevice.h>
#include <linux/notifier.h>
#include <linux/skbuff.h>
#include <uapi/linux/lunatik.h>

#include "hook_run.h"
#include "netfilter.h"
#include "netns.h"
#include "packet.h"

static unsigned int call(void *priv, struct sk_buff *skb, const struct nf_hook_state *nf)
{
	struct lunatik_hook *hook = priv;
	struct lunatik_packet packet LUNATIK_UNINITIALIZED;
	long verdict;

	lunatik_packet_init_skb(&packet, LUNATIK_HOOK_NETFILTER, skb, nf->in, nf->out);
	verdict = lunatik_hook_run(hook, &packet, LUNATIK_HOOK_NETFILTER);
	if (likely(verdict >= 0))
		return verdict;
	/* The last function has just been unregistered, or the device has gone. */
	if (verdict == -ENOENT || hook->on_error == LUNATIK_ON_ERROR_NATIVE)
		return NF_ACCEPT;
	return NF_DROP;
}

/* All that the device receives comes this way. */
static unsigned int call_inet_ingress(void *priv, struct sk_buff *skb,
				      const struct nf_hook_state *nf)
{
	if (skb->protocol != htons(ETH_P_IP) && skb->protocol != htons(ETH_P_IPV6))
		return NF_ACCEPT;
	return call(priv, skb, nf);
}

/* What a device is to send begins with its link header, which no other hook sees. */
static unsigned int call_egress(void *priv, struct sk_buff *skb, const struct nf_hook_state *nf)
{
	int offset = skb_network_offset(skb);
	unsigned int verdict;

	if (offset <= 0 || offset > skb_headlen(skb))
		return call(priv, skb, nf);
	/* One that others send at the same time must stay as it is. */
	if (unlikely(skb_shared(skb))) {
		struct lunatik_hook *hook = priv;

		atomic64_inc(&hook->missed);
		return hook->on_error == LUNATIK_ON_ERROR_NATIVE ? NF_ACCEPT : NF_DROP;
	}
	__skb_pull(skb, offset);
	verdict = call(priv, skb, nf);
	__skb_push(skb, offset);
	return verdict;
}

nf_hookfn *lunatik_netfilter_hookfn(u8 family, unsigned int number)
{
	if (family == NFPROTO_INET && number == NF_INET_INGRESS)
		return call_inet_ingress;
	return family == NFPROTO_NETDEV && number == NF_NETDEV_EGRESS ? call_egress : call;
}

/* Under RTNL. It goes for good, or to another namespace, which it is not in yet. */
static int device_event(struct notifier_block *block, unsigned long event, void *info)
{
	struct net_device *dev = netdev_notifier_info_to_dev(info);

	if (event == NETDEV_UNREGISTER)
		lunatik_hooks_drop_device(lunatik_net(dev_net(dev)), dev);
	return NOTIFY_DONE;
}

static struct notifier_block devices = {
	.notifier_call	= device_event,
};

int __init lunatik_netfilter_init(void)
{
	return register_netdevice_notifier(&devices);
}

void lunatik_netfilter_uninit(void)
{
	/* As if all devices went. */
	unregister_netdevice_notifier(&devices);
}
