/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_NETDEVICE_H
#define HOST_LINUX_NETDEVICE_H

#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <net/net_namespace.h>

#define IFNAMSIZ	16
#define ALTIFNAMSIZ	128

struct net_device {
	struct net_device *next;
	int ifindex;
	char name[IFNAMSIZ];
};

#define for_each_netdev_rcu(net, dev) \
	for ((dev) = (net)->devices; (dev); (dev) = (dev)->next)

static inline struct net_device *dev_get_by_name_rcu(struct net *net, const char *name)
{
	struct net_device *dev;

	for_each_netdev_rcu(net, dev)
		if (!strcmp(dev->name, name))
			break;
	return dev;
}

static inline struct net_device *dev_get_by_index_rcu(struct net *net, int index)
{
	struct net_device *dev;

	for_each_netdev_rcu(net, dev)
		if (dev->ifindex == index)
			break;
	return dev;
}

#endif
