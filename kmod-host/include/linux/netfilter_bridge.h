/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_NETFILTER_BRIDGE_H
#define HOST_LINUX_NETFILTER_BRIDGE_H

#include <linux/netfilter.h>

#define NF_BR_PRI_NAT_DST_BRIDGED	(-300)
#define NF_BR_PRI_FILTER_BRIDGED	(-200)
#define NF_BR_PRI_NAT_DST_OTHER		100
#define NF_BR_PRI_NAT_SRC		300

#endif
