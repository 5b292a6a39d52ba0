/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_COMPAT_OVERFLOW_H
#define LUNATIK_COMPAT_OVERFLOW_H

#include_next <linux/overflow.h>

/* Since 6.4, and in some of 6.1. */
#ifndef struct_size_t
#define struct_size_t(type, member, count)	struct_size((type *)NULL, member, count)
#endif

#endif
