/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_NET_NET_NAMESPACE_H
#define HOST_NET_NET_NAMESPACE_H

#include <linux/atomic.h>

struct net_device;
struct sock;

struct net {
	struct {
		unsigned int inum;
	} ns;
	struct sock *genl_sock;
	struct net_device *devices;
};

#endif
