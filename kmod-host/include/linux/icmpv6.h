/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_ICMPV6_H
#define HOST_LINUX_ICMPV6_H

#include <net/checksum.h>

struct icmp6hdr {
	u8 icmp6_type, icmp6_code;
	__sum16 icmp6_cksum;
	__be32 rest;
};

#endif
