/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_NET_IPV6_H
#define HOST_NET_IPV6_H

#include <linux/ipv6.h>

#define IP6_OFFSET		0xfff8
#define NEXTHDR_HOP		0
#define NEXTHDR_ROUTING		43
#define NEXTHDR_FRAGMENT	44
#define NEXTHDR_AUTH		51
#define NEXTHDR_NONE		59
#define NEXTHDR_DEST		60

struct frag_hdr {
	u8 nexthdr, reserved;
	__be16 frag_off;
	__be32 identification;
};

static inline bool ipv6_ext_hdr(u8 next)
{
	return next == NEXTHDR_HOP || next == NEXTHDR_ROUTING || next == NEXTHDR_FRAGMENT ||
	       next == NEXTHDR_AUTH || next == NEXTHDR_NONE || next == NEXTHDR_DEST;
}

#endif
