/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_NETFILTER_IPV4_H
#define HOST_LINUX_NETFILTER_IPV4_H

#include <linux/netfilter.h>

#define NF_IP_PRI_RAW		(-300)
#define NF_IP_PRI_CONNTRACK	(-200)
#define NF_IP_PRI_MANGLE	(-150)
#define NF_IP_PRI_NAT_DST	(-100)
#define NF_IP_PRI_FILTER	0
#define NF_IP_PRI_SECURITY	50
#define NF_IP_PRI_NAT_SRC	100

#endif
