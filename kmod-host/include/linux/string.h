/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_STRING_H
#define HOST_LINUX_STRING_H

#include <linux/kernel.h>
#include <string.h>

void *memmove(void *dest, const void *src, size_t n);

#endif
