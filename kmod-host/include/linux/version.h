/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_VERSION_H
#define HOST_LINUX_VERSION_H

/* Newer than anything that compat/ makes up for. */
#define KERNEL_VERSION(a, b, c)	(((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE	KERNEL_VERSION(99, 0, 0)

#endif
