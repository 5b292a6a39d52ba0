/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_NETFILTER_H
#define LUNATIK_NETFILTER_H

#include <linux/init.h>
#include <linux/netfilter.h>

/* What the kernel is to call for such a hook; priv is a struct lunatik_hook. */
nf_hookfn *lunatik_netfilter_hookfn(u8 family, unsigned int number);

/* Watches the devices that hooks may be of. */
int __init lunatik_netfilter_init(void);
/* Takes the hooks of all devices from the kernel; nobody can make any more. */
void lunatik_netfilter_uninit(void);

#endif
