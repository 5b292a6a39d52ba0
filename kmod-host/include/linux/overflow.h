/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_OVERFLOW_H
#define HOST_LINUX_OVERFLOW_H

#include <linux/kernel.h>

static inline size_t host_size_add(size_t a, size_t b)
{
	return __builtin_add_overflow(a, b, &a) ? (size_t)-1 : a;
}

static inline size_t host_size_mul(size_t a, size_t b)
{
	return __builtin_mul_overflow(a, b, &a) ? (size_t)-1 : a;
}

/* The size of a structure with `count` elements in its trailing array. */
#define struct_size_t(type, member, count) \
	host_size_add(sizeof(type), host_size_mul(sizeof(((type *)0)->member[0]), count))

#endif
