/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_COMPAT_GENETLINK_H
#define LUNATIK_COMPAT_GENETLINK_H

#include_next <net/genetlink.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
/* What pre_doit() is given. */
#define genl_split_ops	genl_ops
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
#define genl_info_dump(cb)	genl_dumpit_info(cb)
#endif

#ifndef GENL_MCAST_CAP_NET_ADMIN
/* Groups had the flag of operations. */
#define GENL_MCAST_CAP_NET_ADMIN	GENL_UNS_ADMIN_PERM
#endif

#ifndef NL_SET_ERR_MSG_FMT
/* See compat/extack.c */
const char *lunatik_extack_format(const char *fmt, ...) __printf(1, 2);
#define NL_SET_ERR_MSG_FMT(extack, fmt, ...) \
	((extack)->_msg = lunatik_extack_format(fmt, ##__VA_ARGS__))
#endif

#endif
