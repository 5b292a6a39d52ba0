/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_IN_H
#define HOST_LINUX_IN_H

#define IPPROTO_ICMP	1
#define IPPROTO_TCP	6
#define IPPROTO_UDP	17
#define IPPROTO_ICMPV6	58
#define IPPROTO_UDPLITE	136

#endif
