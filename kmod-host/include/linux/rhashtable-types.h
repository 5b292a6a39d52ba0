/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_RHASHTABLE_TYPES_H
#define HOST_LINUX_RHASHTABLE_TYPES_H

struct rhash_head {
	int unused;
};

#endif
