// SPDX-License-Identifier: GPL-2.0-only
/*
 * load() in pieces: a comment, a string or a name of any length is one token, and
 * only between pieces is the deadline looked at.
 */
#include "lua.h"
#include "load.h"

#define PIECE	4096

struct source {
	lua_Reader reader;
	void *data;
	const char *next;
	size_t left;
};

static const char *next_piece(lua_State *L, void *data, size_t *size)
{
	struct source *source = data;
	const char *piece;

	lunatik_poll(L);
	if (!source->left)
		source->next = source->reader(L, source->data, &source->left);
	if (!source->next || !source->left) {
		*size = source->left = 0;
		return NULL;
	}
	*size = source->left < PIECE ? source->left : PIECE;
	piece = source->next;
	source->next += *size;
	source->left -= *size;
	return piece;
}

/* Without a mode, or with one that has it: text. Nothing else is ever loaded. */
static const char *text_only(const char *mode)
{
	for (; mode && *mode; mode++)
		if (*mode == 't')
			return "t";
	return mode ? "" : "t";
}

int lunatik_load(lua_State *L, lua_Reader reader, void *data, const char *name, const char *mode)
{
	struct source source = { .reader = reader, .data = data };

	return lua_load(L, next_piece, &source, name, text_only(mode));
}

static const char *nothing_more(lua_State *L, void *data, size_t *size)
{
	(void)L, (void)data;
	*size = 0;
	return NULL;
}

int lunatik_load_string(lua_State *L, const char *s, size_t len, const char *name,
			const char *mode)
{
	struct source source = { .reader = nothing_more, .next = s, .left = len };

	return lua_load(L, next_piece, &source, name, text_only(mode));
}
