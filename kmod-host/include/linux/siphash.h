/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_SIPHASH_H
#define HOST_LINUX_SIPHASH_H

#include <linux/types.h>

typedef struct {
	u64 key[2];
} siphash_key_t;

u64 siphash_1u64(u64 first, const siphash_key_t *key);

#endif
