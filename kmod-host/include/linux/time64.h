/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_TIME64_H
#define HOST_LINUX_TIME64_H

#include <linux/ktime.h>

#endif
