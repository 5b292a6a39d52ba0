/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_IP_H
#define HOST_LINUX_IP_H

#include <net/checksum.h>

struct iphdr {
	u8 ihl : 4, version : 4;
	u8 tos;
	__be16 tot_len;
	__be16 id;
	__be16 frag_off;
	u8 ttl;
	u8 protocol;
	__sum16 check;
	__be32 saddr, daddr;
};

#endif
