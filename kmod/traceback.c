// SPDX-License-Identifier: GPL-2.0-only
#include <linux/seq_buf.h>
#include <linux/slab.h>

#include "stack.h"
#include "traceback.h"

/* Levels that are shown of a deep stack, at its top and at its bottom. */
#define TOP		10
#define BOTTOM		11

/* Of a name, which a script chooses. */
#define NAME_MAX_SHOWN	60

/* Room for all levels at their longest. */
#define TEXT_MAX	8192

/* How many fields a search looks at: a script may fill the tables it goes through. */
#define FIELDS_MAX	1024

/* The field of the table on top of the stack that holds the function `fn`, pushed. */
static const char *find_field(lua_State *L, int fn, unsigned int *looked)
{
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		if (++*looked > FIELDS_MAX) {
			lua_pop(L, 2);
			break;
		}
		if (lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, fn)) {
			lua_pop(L, 1);
			return lua_tostring(L, -1);
		}
		lua_pop(L, 1);
	}
	return NULL;
}

/* Prints the name by which scripts know the function on top of the stack, if any. */
static bool print_known(lua_State *L, struct seq_buf *text)
{
	int fn = lua_gettop(L);
	unsigned int looked = 0;
	bool found = false;

	if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) != LUA_TTABLE)
		goto out;
	lua_pushnil(L);
	while (!found && lua_next(L, -2)) {
		const char *library = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;

		if (library && lua_istable(L, -1)) {
			const char *field = find_field(L, fn, &looked);

			if (field) {
				bool global = !strcmp(library, LUA_GNAME);

				seq_buf_printf(text, "function '%.*s%s%.*s'", NAME_MAX_SHOWN,
					       global ? "" : library, global ? "" : ".",
					       NAME_MAX_SHOWN, field);
				found = true;
			}
		}
		lua_settop(L, fn + 2);
	}
out:
	lua_settop(L, fn);
	return found;
}

static void print_function(lua_State *L, const lua_Debug *ar, struct seq_buf *text)
{
	if (*ar->namewhat)
		seq_buf_printf(text, "%s '%.*s'", ar->namewhat, NAME_MAX_SHOWN, ar->name);
	else if (*ar->what == 'm')
		seq_buf_printf(text, "main chunk");
	else if (print_known(L, text))
		return;
	else if (*ar->what != 'C')
		seq_buf_printf(text, "function <%s:%d>", ar->short_src, ar->linedefined);
	else
		seq_buf_printf(text, "?");
}

static void print_level(lua_State *L, lua_Debug *ar, struct seq_buf *text)
{
	lua_getinfo(L, "Slntf", ar);
	seq_buf_printf(text, "\n\t%s:", ar->short_src);
	if (ar->currentline > 0)
		seq_buf_printf(text, "%d:", ar->currentline);
	seq_buf_printf(text, " in ");
	print_function(L, ar, text);
	lua_pop(L, 1);
	if (ar->istailcall)
		seq_buf_printf(text, "\n\t(...tail calls...)");
}

/* Finding a level walks the stack, so the last one is searched by halves. */
static int last_level(lua_State *L, lua_Debug *ar)
{
	int low = 0, high = 1;

	while (lua_getstack(L, high, ar)) {
		low = high;
		high *= 2;
	}
	while (low + 1 < high) {
		int middle = low + (high - low) / 2;

		if (lua_getstack(L, middle, ar))
			low = middle;
		else
			high = middle;
	}
	return low;
}

char *lunatik_traceback(lua_State *L, int level, size_t *len)
{
	struct seq_buf text;
	lua_Debug ar;
	int last, skip;
	char *buffer;

	if (!lua_checkstack(L, LUA_MINSTACK))
		return NULL;
	buffer = kmalloc(TEXT_MAX, lunatik_gfp(lunatik_guard(L)));
	if (!buffer)
		return NULL;
	seq_buf_init(&text, buffer, TEXT_MAX);
	seq_buf_printf(&text, "stack traceback:");
	last = last_level(L, &ar);
	skip = last - level - TOP - BOTTOM + 1;
	if (skip > 0) {
		int first = level + TOP;

		for (; level < first && lua_getstack(L, level, &ar); level++)
			print_level(L, &ar, &text);
		seq_buf_printf(&text, "\n\t...\t(skipping %d levels)", skip);
		level += skip;
	}
	for (; lua_getstack(L, level, &ar); level++)
		print_level(L, &ar, &text);
	if (seq_buf_has_overflowed(&text)) {
		kfree(buffer);
		return NULL;
	}
	*len = seq_buf_used(&text);
	return buffer;
}
