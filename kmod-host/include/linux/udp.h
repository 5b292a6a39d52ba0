/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_UDP_H
#define HOST_LINUX_UDP_H

#include <net/checksum.h>

struct udphdr {
	__be16 source, dest, len;
	__sum16 check;
};

#endif
