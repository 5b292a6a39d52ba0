/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_THREAD_INFO_H
#define HOST_LINUX_THREAD_INFO_H

#include <linux/sched.h>

#endif
