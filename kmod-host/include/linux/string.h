/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_STRING_H
#define HOST_LINUX_STRING_H

#include <linux/kernel.h>
#include <string.h>

void *memmove(void *dest, const void *src, size_t n);

/* As the kernel's, but for how much was copied. */
static inline void strscpy(char *dest, const char *src, size_t size)
{
	size_t len = strlen(src);

	len = len < size ? len : size - 1;
	memcpy(dest, src, len);
	dest[len] = 0;
}

#endif
