/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_IPV6_H
#define HOST_LINUX_IPV6_H

#include <net/checksum.h>

struct in6_addr {
	u8 bytes[16];
};

struct ipv6hdr {
	u8 priority : 4, version : 4;
	u8 flow_lbl[3];
	__be16 payload_len;
	u8 nexthdr;
	u8 hop_limit;
	struct in6_addr saddr, daddr;
};

#endif
