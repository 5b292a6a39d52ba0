// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../lib/lib.h"
#include "binary.h"

#define LEAST	1024

struct writer {
	struct lunatik_binary *binary;
	size_t max;
};

static int write(lua_State *L, const void *bytes, size_t n, void *data)
{
	struct writer *writer = data;
	struct lunatik_binary *binary = writer->binary;
	size_t size = binary->size ?: LEAST;
	char *new;

	lunatik_poll(L);
	if (n > writer->max - binary->len)
		return -1;
	if (n > binary->size - binary->len) {
		while (size < binary->len + n)
			size *= 2;
		new = kvmalloc(size, LUNATIK_GFP_KERNEL);
		if (!new)
			return -1;
		if (binary->len)
			memcpy(new, binary->data, binary->len);
		kvfree(binary->data);
		binary->data = new;
		binary->size = size;
	}
	if (n)
		memcpy(binary->data + binary->len, bytes, n);
	binary->len += n;
	return 0;
}

void lunatik_binary_dump(lua_State *L, struct lunatik_binary *binary, size_t max)
{
	struct writer writer = { .binary = binary, .max = max };

	/* With names and lines, for errors. */
	if (lua_dump(L, write, &writer, 0))
		lunatik_lib_nomem(L);
}

struct reader {
	const struct lunatik_binary *binary;
	bool done;
};

static const char *read(lua_State *L, void *data, size_t *size)
{
	struct reader *reader = data;

	if (reader->done)
		return NULL;
	reader->done = true;
	*size = reader->binary->len;
	return reader->binary->data;
}

int lunatik_binary_load(lua_State *L, const struct lunatik_binary *binary, const char *name)
{
	struct reader reader = { .binary = binary };

	return lua_load(L, read, &reader, name, "b");
}

void lunatik_binary_free(struct lunatik_binary *binary)
{
	kvfree(binary->data);
	binary->data = NULL;
}
