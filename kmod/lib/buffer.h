/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes that scripts read and write: a `data` buffer or the packet in hand. Both
 * have the same methods, which are here; what differs is below them.
 */
#ifndef LUNATIK_BUFFER_H
#define LUNATIK_BUFFER_H

#include <linux/types.h>

#include "lib.h"

struct lunatik_buffer;

struct lunatik_buffer_ops {
	/*
	 * Copies bytes that are there, but not all in [low, linear). False where that
	 * fails. Raises nothing.
	 */
	bool (*read)(const struct lunatik_buffer *buffer, s32 off, void *to, u32 n);
	/*
	 * Writes bytes that are there, and maybe moves them all; or raises an error.
	 * `from` is no part of the buffer.
	 */
	void (*write)(struct lunatik_buffer *buffer, lua_State *L, s32 off, const void *from,
		      u32 n);
};

/*
 * Offsets are those that scripts give: from `low` on, and less than `len`. At most
 * INT_MAX bytes. Bytes [low, linear) are at data + offset.
 */
struct lunatik_buffer {
	u8 *data;
	const struct lunatik_buffer_ops *ops;	/* NULL: all are at data, and may be written there */
	s32 low;	/* least offset, not above 0 */
	u32 linear;
	u32 len;
};

/* The buffer that is the argument `n`; raises an error if that is none, or a packet that is gone. */
struct lunatik_buffer *lunatik_buffer_check(lua_State *L, int n);

/* Copies bytes that are there; raises an error where that fails. */
void lunatik_buffer_copy(lua_State *L, const struct lunatik_buffer *buffer, s32 off, void *to,
			 u32 n);

/*
 * Pushes a new metatable for buffers that are shown as `name`. They have the
 * methods that all have, and `more`, if not NULL. Scripts cannot get at it.
 */
void lunatik_buffer_push_metatable(lua_State *L, const char *name, const luaL_Reg *more);

#endif
