/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before lcode.c: `/` and `^` of constants are not folded, for they
 * raise.
 */
#ifndef LUNATIK_CODE_CONFIG_H
#define LUNATIK_CODE_CONFIG_H

#define LUA_CORE
#include "lprefix.h"
#include "lobject.h"

#define luaO_rawarith(L, op, p1, p2, res) \
	((op) != LUA_OPDIV && (op) != LUA_OPPOW && luaO_rawarith(L, op, p1, p2, res))

#endif
