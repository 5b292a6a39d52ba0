/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_STDDEF_H
#define LUNATIK_STDDEF_H

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;

#define NULL ((void *)0)
#ifndef offsetof
#define offsetof(type, member)	__builtin_offsetof(type, member)
#endif

#endif
