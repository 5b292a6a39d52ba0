/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before lcode.c: `/` and `^` of constants are not folded, for they
 * raise. The folding looks at nothing but the result, and leaves a zero alone.
 */
#ifndef LUNATIK_CODE_CONFIG_H
#define LUNATIK_CODE_CONFIG_H

#define LUA_CORE
#include "lprefix.h"
#include "lobject.h"

#define luaO_rawarith(L, op, p1, p2, res) \
	((op) != LUA_OPDIV && (op) != LUA_OPPOW ? luaO_rawarith(L, op, p1, p2, res) : \
	 ((res)->value_.n = 0, (res)->tt_ = LUA_VNUMFLT, 0))

#endif
