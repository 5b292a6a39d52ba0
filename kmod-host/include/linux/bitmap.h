/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_BITMAP_H
#define HOST_LINUX_BITMAP_H

#include <linux/bitops.h>

#define DECLARE_BITMAP(name, bits) \
	unsigned long name[((bits) + 8 * sizeof(long) - 1) / (8 * sizeof(long))]

#endif
