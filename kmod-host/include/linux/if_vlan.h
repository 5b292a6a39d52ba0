/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_IF_VLAN_H
#define HOST_LINUX_IF_VLAN_H

#include <linux/if_ether.h>

static inline bool eth_type_vlan(__be16 type)
{
	return type == htons(ETH_P_8021Q) || type == htons(ETH_P_8021AD);
}

#endif
