/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_STDINT_H
#define LUNATIK_STDINT_H

typedef __UINTPTR_TYPE__ uintptr_t;
typedef __INTPTR_TYPE__ intptr_t;
#ifndef UINTPTR_MAX
#define UINTPTR_MAX	__UINTPTR_MAX__
#endif
#define INTPTR_MAX	__INTPTR_MAX__

#endif
