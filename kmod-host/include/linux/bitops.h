/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_BITOPS_H
#define HOST_LINUX_BITOPS_H

#include <linux/kernel.h>

#define set_bit(bit, word)	((void)__atomic_fetch_or(word, BIT(bit), __ATOMIC_SEQ_CST))
#define clear_bit(bit, word)	((void)__atomic_fetch_and(word, ~BIT(bit), __ATOMIC_SEQ_CST))

#endif
