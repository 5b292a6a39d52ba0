/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before ltable.c: where an object goes in a table, and so the order
 * that pairs() shows, does not tell its address.
 */
#ifndef LUNATIK_TABLE_CONFIG_H
#define LUNATIK_TABLE_CONFIG_H

#define LUA_CORE
#include "lprefix.h"
#include "llimits.h"

#include "pointer.h"

#undef point2uint
#define point2uint(p) \
	((unsigned int)((((unsigned long)(p) ^ lunatik_pointer_key[0]) * \
			 lunatik_pointer_key[1]) >> 32))

#endif
