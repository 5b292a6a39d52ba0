/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_LOG2_H
#define HOST_LINUX_LOG2_H

#define ilog2(n)	(63 - __builtin_clzll(n))

#endif
