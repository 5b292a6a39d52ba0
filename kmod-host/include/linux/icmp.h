/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_ICMP_H
#define HOST_LINUX_ICMP_H

#include <net/checksum.h>

struct icmphdr {
	u8 type, code;
	__sum16 checksum;
	__be32 rest;
};

#endif
