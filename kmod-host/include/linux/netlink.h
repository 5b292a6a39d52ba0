/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_NETLINK_H
#define HOST_LINUX_NETLINK_H

#include <net/netlink.h>

#endif
