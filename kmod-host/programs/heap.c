// SPDX-License-Identifier: GPL-2.0-only
/* The memory of a state: what is counted, and what is refused. */
#include <stdio.h>
#include <stdlib.h>

#include "kernel.h"
#include "lua/lunatik_lua.h"
#include "module.h"
#include "test.h"

#define KEPT_MAX	8192

static const struct lunatik_guard guard;
static struct lunatik_heap heap;
static u64 live;	/* bytes that the test has */
static u32 most;	/* that held ever was between two calls */

static void begin(u32 max)
{
	lunatik_heap_init(&heap, &host_lnet, &guard, max);
	live = 0;
	most = 0;
}

static void check(void)
{
	CHECK_EQ(heap.held, live + heap.kept);
	CHECK(heap.kept <= KEPT_MAX);
	CHECK(heap.held <= heap.max);
	CHECK(heap.held <= heap.charged);
	CHECK_EQ(heap.charged % LUNATIK_CHARGE_STEP, 0);
	CHECK_EQ(host_lnet.charged.counter, heap.charged);
	CHECK((u64)heap.charged <= host_max_total_alloc);
	/* What is charged in advance stays small. */
	CHECK(heap.charged - heap.held <= 9 * LUNATIK_CHARGE_STEP);
	most = max(most, heap.held);
	CHECK(heap.peak >= most && heap.peak <= heap.max);
}

static void end(void)
{
	CHECK_EQ(live, 0);
	check();
	lunatik_heap_uninit(&heap);
	CHECK_EQ(host_lnet.charged.counter, 0);
	CHECK_EQ(host_memory.blocks, 0);
}

/* As Lua calls it. osize without a block is the type of the object. */
static void *resize(void *ptr, size_t osize, size_t nsize)
{
	void *new = lunatik_heap_lua_alloc(&heap, ptr, osize, nsize);

	if (new || !nsize)
		live += nsize - (ptr ? osize : 0);
	check();
	return new;
}

static void the_cap_is_exact(const void *data)
{
	u32 max;

	for (max = 1; max < 20000; max += 1 + max / 50) {
		void *whole, *part;

		begin(max);
		CHECK(!resize(NULL, 0, max + 1));
		whole = resize(NULL, 0, max);
		CHECK(whole);
		CHECK_EQ(heap.peak, max);
		CHECK(!resize(NULL, 0, 1));
		resize(whole, max, 0);
		part = resize(NULL, 0, max / 2 + 1);
		if (max > 2) {
			CHECK(!resize(NULL, 0, max - max / 2));
			whole = resize(NULL, 0, max - max / 2 - 1);
			CHECK(whole || max - max / 2 - 1 == 0);
			resize(whole, max - max / 2 - 1, 0);
		}
		resize(part, max / 2 + 1, 0);
		end();
	}
}

static void sizes_past_32_bits_are_refused(const void *data)
{
	static const size_t sizes[] = { 1ULL << 32, (1ULL << 32) + 1, 1ULL << 63, ~0ULL - 15, ~0ULL };
	unsigned int i;
	void *ptr;

	begin(~0U);
	ptr = resize(NULL, 0, 100);
	memset(ptr, 1, 100);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		CHECK(!resize(NULL, 0, sizes[i]));
		CHECK(!resize(ptr, 100, sizes[i]));
		CHECK(!lunatik_heap_charge(&heap, sizes[i]));
		check();
	}
	resize(ptr, 100, 0);
	end();
}

static void nothing_is_nothing(const void *data)
{
	begin(1000);
	CHECK(!resize(NULL, 0, 0));
	CHECK(!resize(NULL, LUA_TTABLE, 0));
	CHECK_EQ(heap.charged, 0);
	end();
}

static void charges_without_a_block(const void *data)
{
	begin(10000);
	CHECK(lunatik_heap_charge(&heap, 6000));
	live = 6000;
	check();
	CHECK(!lunatik_heap_charge(&heap, 4001));
	CHECK(lunatik_heap_charge(&heap, 4000));
	live = 10000;
	check();
	CHECK(!resize(NULL, 0, 1));
	lunatik_heap_uncharge(&heap, 10000);
	live = 0;
	end();
}

static void the_quota_of_the_namespace(const void *data)
{
	struct lunatik_heap other;
	void *ptr;

	host_max_total_alloc = 3 * LUNATIK_CHARGE_STEP;
	begin(1 << 20);
	lunatik_heap_init(&other, &host_lnet, &guard, 1 << 20);
	CHECK(lunatik_heap_charge(&other, LUNATIK_CHARGE_STEP + 1));
	CHECK_EQ(host_lnet.charged.counter, 2 * LUNATIK_CHARGE_STEP);
	ptr = lunatik_heap_alloc(&heap, LUNATIK_CHARGE_STEP);
	CHECK(ptr);
	CHECK(!lunatik_heap_alloc(&heap, 1));
	CHECK_EQ(host_lnet.charged.counter, host_max_total_alloc);
	/* What is charged already may be used. */
	CHECK(lunatik_heap_charge(&other, LUNATIK_CHARGE_STEP - 1));
	CHECK(!lunatik_heap_charge(&other, 1));
	lunatik_heap_uncharge(&other, 2 * LUNATIK_CHARGE_STEP);
	lunatik_heap_uninit(&other);
	lunatik_heap_free(&heap, ptr, LUNATIK_CHARGE_STEP);
	end();
}

/* Shrinking cannot fail; the block may stay the larger one. */
static void shrinking_without_memory(const void *data)
{
	size_t sizes[] = { 20000, 5000, 300, 257, 256, 200, 100, 40, 17, 16, 3, 1 };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (j = i + 1; j < ARRAY_SIZE(sizes); j++) {
			char *ptr;
			size_t k;

			begin(30000);
			ptr = resize(NULL, 0, sizes[i]);
			memset(ptr, 'x', sizes[i]);
			host_fail(1, 1000);
			ptr = resize(ptr, sizes[i], sizes[j]);
			CHECK(ptr);
			host_fail_none();
			for (k = 0; k < sizes[j]; k++)
				CHECK_EQ(ptr[k], 'x');
			ptr = resize(ptr, sizes[j], sizes[i]);
			CHECK(ptr);
			memset(ptr, 'y', sizes[i]);
			resize(ptr, sizes[i], 0);
			end();
		}
	}
}

#define BLOCKS	200

struct block {
	char *ptr;
	size_t size;
	char fill;
};

static size_t some_size(void)
{
	switch (test_below(8)) {
	case 0:
		return 1 + test_below(20000);
	case 1:
		return 240 + test_below(40);
	default:
		return 1 + test_below(test_below(4) ? 256 : 2048);
	}
}

static void check_filled(const struct block *block, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (block->ptr[i] != block->fill)
			FAIL("byte %zu of %zu is not what was written", i, size);
}

/* What must succeed does, what must fail does, and what may fail changes nothing. */
static void random_step(struct block *block, bool failing)
{
	size_t size = test_below(3) ? some_size() : 0;
	u64 before = live;
	bool quota = host_max_total_alloc < 1ULL << 40;
	char *ptr;

	ptr = resize(block->ptr, block->ptr ? block->size : test_below(9), size);
	if (!size) {
		block->ptr = NULL;
		block->size = 0;
		return;
	}
	if (ptr) {
		size_t had = min(size, block->ptr ? block->size : 0);

		CHECK(live <= heap.max);
		block->ptr = ptr;
		check_filled(block, had);
		block->size = size;
		block->fill = test_random();
		memset(ptr, block->fill, size);
		return;
	}
	CHECK_EQ(live, before);
	CHECK(size > block->size);
	CHECK(failing || quota || before + size > heap.max);
	if (block->ptr)
		check_filled(block, block->size);
}

static void model(const void *data)
{
	struct block blocks[BLOCKS];
	int round, step, i;

	for (round = 0; round < 60; round++) {
		bool failing = round % 3 == 1;

		memset(blocks, 0, sizeof(blocks));
		host_max_total_alloc = round % 5 == 4 ? 100000 : 1ULL << 40;
		begin(test_below(2) ? 30000 + test_below(60000) : 1 << 20);
		for (step = 0; step < 2000; step++) {
			if (failing && !test_below(4))
				host_fail(1, test_below(3));
			random_step(&blocks[test_below(BLOCKS)], failing);
			if (failing)
				host_fail_none();
		}
		for (i = 0; i < BLOCKS; i++)
			if (blocks[i].ptr)
				resize(blocks[i].ptr, blocks[i].size, 0);
		end();
	}
}

static const struct test_case cases[] = {
	TEST(the_cap_is_exact),
	TEST(sizes_past_32_bits_are_refused),
	TEST(nothing_is_nothing),
	TEST(charges_without_a_block),
	TEST(the_quota_of_the_namespace),
	TEST(shrinking_without_memory),
	TEST(model),
	{ }
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, cases);
}
