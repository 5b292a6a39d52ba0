/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_CACHE_H
#define HOST_LINUX_CACHE_H

#define __ro_after_init
#define ____cacheline_aligned_in_smp

#endif
