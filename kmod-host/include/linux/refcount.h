/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_REFCOUNT_H
#define HOST_LINUX_REFCOUNT_H

typedef struct {
	int unused;
} refcount_t;

#endif
