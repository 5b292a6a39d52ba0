/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_NETLINK_H
#define LUNATIK_NETLINK_H

#include <net/genetlink.h>

/* The kernel's copy of MODULE_VERSION() is NULL where it had no memory for it. */
#define LUNATIK_VERSION	"0.1.0"

/* Multicast groups by index. */
enum {
	LUNATIK_GROUP_EVENTS,
	LUNATIK_GROUP_LOG,
};

extern struct genl_family lunatik_family;

int lunatik_netlink_init(void);
void lunatik_netlink_uninit(void);

#endif
