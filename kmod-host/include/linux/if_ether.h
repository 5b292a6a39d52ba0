/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_IF_ETHER_H
#define HOST_LINUX_IF_ETHER_H

#include <asm/byteorder.h>

#define ETH_HLEN	14
#define ETH_P_IP	0x0800
#define ETH_P_8021Q	0x8100
#define ETH_P_IPV6	0x86dd
#define ETH_P_8021AD	0x88a8

struct ethhdr {
	u8 h_dest[6], h_source[6];
	__be16 h_proto;
} __attribute__((packed));

#endif
