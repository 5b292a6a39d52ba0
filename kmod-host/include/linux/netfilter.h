/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_NETFILTER_H
#define HOST_LINUX_NETFILTER_H

#include <linux/kernel.h>

#define NF_DROP			0
#define NF_ACCEPT		1
#define NF_QUEUE		3
#define NF_VERDICT_MASK		0xff
#define NF_VERDICT_FLAG_QUEUE_BYPASS	0x8000
#define NF_QUEUE_NR(n)		((((n) << 16) & 0xffff0000) | NF_QUEUE)

enum {
	NF_INET_PRE_ROUTING,
	NF_INET_LOCAL_IN,
	NF_INET_FORWARD,
	NF_INET_LOCAL_OUT,
	NF_INET_POST_ROUTING,
	NF_INET_INGRESS,
};

enum {
	NF_NETDEV_INGRESS,
	NF_NETDEV_EGRESS,
};

enum {
	NFPROTO_INET	= 1,
	NFPROTO_IPV4	= 2,
	NFPROTO_ARP	= 3,
	NFPROTO_NETDEV	= 5,
	NFPROTO_BRIDGE	= 7,
	NFPROTO_IPV6	= 10,
};

struct net_device;

struct nf_hook_ops {
	struct net_device *dev;
	u8 pf;
	unsigned int hooknum;
	int priority;
};

#endif
