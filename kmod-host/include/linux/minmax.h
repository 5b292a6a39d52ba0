/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_MINMAX_H
#define HOST_LINUX_MINMAX_H

#include <linux/kernel.h>

#endif
