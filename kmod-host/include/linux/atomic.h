/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_ATOMIC_H
#define HOST_LINUX_ATOMIC_H

#include <linux/kernel.h>

#define atomic64_read(v)		((v)->counter)
#define atomic64_add_return(n, v)	((v)->counter += (n))
#define atomic64_sub(n, v)		((void)((v)->counter -= (n)))

/* One thread only */
#define cmpxchg(p, old, new) ({ \
	__typeof__(*(p)) cmpxchg_was = *(p); \
	if (cmpxchg_was == (old)) \
		*(p) = (new); \
	cmpxchg_was; })

#endif
