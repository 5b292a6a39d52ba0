/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_PREEMPT_H
#define HOST_LINUX_PREEMPT_H

#define preempt_disable()	((void)0)
#define preempt_enable()	((void)0)
#define migrate_disable()	((void)0)
#define migrate_enable()	((void)0)

#endif
