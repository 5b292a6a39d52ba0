/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_TCP_H
#define HOST_LINUX_TCP_H

#include <net/checksum.h>

struct tcphdr {
	__be16 source, dest;
	__be32 seq, ack_seq;
	u8 doff, flags;
	__be16 window;
	__sum16 check;
	__be16 urg_ptr;
};

#endif
