/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_RCUPDATE_H
#define HOST_LINUX_RCUPDATE_H

#include <linux/kernel.h>

/* Lua must not be entered in between: what allocates looks at this. */
extern int host_rcu_nesting;

#define rcu_read_lock()		((void)host_rcu_nesting++)
#define rcu_read_unlock()	((void)host_rcu_nesting--)

#endif
