/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_ATOMIC_H
#define HOST_LINUX_ATOMIC_H

#include <linux/kernel.h>

#define atomic64_read(v)		((v)->counter)
#define atomic64_add_return(n, v)	((v)->counter += (n))
#define atomic64_sub(n, v)		((void)((v)->counter -= (n)))

#endif
