/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_SIZES_H
#define HOST_LINUX_SIZES_H

#define SZ_8K	0x2000
#define SZ_16K	0x4000
#define SZ_64K	0x10000

#endif
