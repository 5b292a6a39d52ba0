/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_NETFILTER_ARP_H
#define HOST_LINUX_NETFILTER_ARP_H

#include <linux/netfilter.h>

#define NF_ARP_IN	0
#define NF_ARP_OUT	1
#define NF_ARP_FORWARD	2

#endif
