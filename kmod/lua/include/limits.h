/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Literals: the kernel's own definitions have casts, which #if cannot read.
 * Where the kernel's headers came first, theirs stand.
 */
#ifndef LUNATIK_LIMITS_H
#define LUNATIK_LIMITS_H

#define CHAR_BIT	8
#define UCHAR_MAX	255

#ifndef INT_MAX
#define SHRT_MAX	0x7fff
#define USHRT_MAX	0xffff
#define INT_MAX		0x7fffffff
#define INT_MIN		(-INT_MAX - 1)
#define UINT_MAX	0xffffffffU
#define LONG_MAX	0x7fffffffffffffffL
#define LONG_MIN	(-LONG_MAX - 1)
#define ULONG_MAX	0xffffffffffffffffUL
#define LLONG_MAX	0x7fffffffffffffffLL
#define LLONG_MIN	(-LLONG_MAX - 1)
#define ULLONG_MAX	0xffffffffffffffffULL
#endif

#endif
