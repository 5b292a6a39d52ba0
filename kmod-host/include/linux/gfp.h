/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_GFP_H
#define HOST_LINUX_GFP_H

#include <linux/kernel.h>

#define GFP_KERNEL		0U
#define GFP_KERNEL_ACCOUNT	0U
#define GFP_NOWAIT		0U
#define GFP_ATOMIC		0U
#define __GFP_RECLAIM		0U
#define __GFP_ACCOUNT		0U
#define __GFP_NOWARN		0U
#define __GFP_RETRY_MAYFAIL	0U

#endif
