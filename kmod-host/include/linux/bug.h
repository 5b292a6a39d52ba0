/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_BUG_H
#define HOST_LINUX_BUG_H

#include <linux/kernel.h>

#endif
