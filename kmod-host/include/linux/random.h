/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_RANDOM_H
#define HOST_LINUX_RANDOM_H

#include <linux/kernel.h>

u32 get_random_u32(void);
u64 get_random_u64(void);
void get_random_bytes(void *bytes, size_t len);

#endif
