/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before lvm.c, whose float operators are not expected to raise: where
 * the function is and what it has on its stack must be told first, or a collection
 * on the way would not see its variables.
 */
#ifndef LUNATIK_VM_CONFIG_H
#define LUNATIK_VM_CONFIG_H

#include "luaconf.h"

#undef luai_numdiv
#undef luai_numpow
#define luai_numdiv(L, a, b) \
	((void)(a), (void)(b), savestate(L, ci), lunatik_nofloat(L, "'/'"))
#define luai_numpow(L, a, b) \
	((void)(a), (void)(b), savestate(L, ci), lunatik_nofloat(L, "'^'"))

#endif
