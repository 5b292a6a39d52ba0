// SPDX-License-Identifier: GPL-2.0-only
/* The log of a state. */
#include <stdlib.h>
#include <linux/skbuff.h>
#include <net/netlink.h>
#include <uapi/linux/lunatik.h>

#include "heap.h"
#include "kernel.h"
#include "log.h"
#include "module.h"
#include "test.h"

#define LINE(len)	(sizeof(struct lunatik_log_line) + (len))

static struct lunatik_heap heap;
static struct lunatik_log logs;
static struct lunatik_log_share share;
static const struct lunatik_guard guard;

static void begin(u32 max_alloc)
{
	lunatik_heap_init(&heap, &host_lnet, &guard, max_alloc);
	lunatik_log_init(&logs);
	lunatik_log_share_init(&share);
}

static void end(void)
{
	lunatik_log_share_free(&share, &logs, &heap);
	CHECK_EQ(share.bytes, 0);
	CHECK_EQ(heap.held, 0);
	lunatik_heap_uninit(&heap);
	CHECK_EQ(host_lnet.charged.counter, 0);
	CHECK_EQ(host_memory.blocks, 0);
}

/* Byte i of the line with this number. */
static char byte_of(u64 sequence, size_t i)
{
	return sequence * 31 + i * 7;
}

/* A line in a block of exactly its length. */
static const struct lunatik_log_line *add(size_t len)
{
	const struct lunatik_log_line *line;
	char *text = malloc(len);
	size_t i;

	for (i = 0; i < len; i++)
		text[i] = byte_of(logs.last + 1, i);
	line = lunatik_log_add(&logs, &share, &heap, text, len);
	free(text);
	return line;
}

/* The numbers are without gaps, the texts whole, the sum right. */
static void check_lines(void)
{
	const struct lunatik_log_line *line;
	u64 next = 0;
	size_t i, bytes = 0;

	list_for_each_entry(line, &logs.lines, list) {
		CHECK(!next || line->sequence == next);
		next = line->sequence + 1;
		bytes += LINE(line->len);
		for (i = 0; i < line->len; i++)
			CHECK(line->text[i] == byte_of(line->sequence, i));
	}
	CHECK(!next || next == logs.last + 1);
	CHECK_EQ(bytes, share.bytes);
	CHECK_EQ(bytes, heap.held);
	CHECK(bytes <= LUNATIK_LOG_BYTES || list_first_entry_or_null(&logs.lines,
	      struct lunatik_log_line, list)->sequence == logs.last);
}

static u64 oldest(void)
{
	const struct lunatik_log_line *line =
		list_first_entry_or_null(&logs.lines, struct lunatik_log_line, list);

	return line ? line->sequence : 0;
}

/* From any number on: that line, or the oldest that is kept, or none. */
static void check_finds(void)
{
	u64 sequence, first = oldest();

	for (sequence = 0; sequence <= logs.last + 2; sequence++) {
		const struct lunatik_log_line *line = lunatik_log_find(&logs, sequence);

		if (sequence > logs.last || !first)
			CHECK(!line);
		else
			CHECK_EQ(line->sequence, max(sequence, first));
	}
	CHECK(!lunatik_log_find(&logs, ~0ULL));
}

static void empty(const void *data)
{
	begin(1 << 20);
	check_lines();
	check_finds();
	CHECK_EQ(logs.last, 0);
	end();
}

static void lines_of_any_length(const void *data)
{
	int i;

	begin(1 << 20);
	for (i = 0; i < 3000; i++) {
		size_t len = test_below(8) ? test_below(100) : test_below(LUNATIK_LOG_LINE_MAX + 1);
		const struct lunatik_log_line *line = add(len);

		CHECK_EQ(line->sequence, i + 1);
		CHECK_EQ(line->len, len);
		CHECK_EQ(line->time, host_real_now - 1);
		check_lines();
		if (i % 100 == 0)
			check_finds();
	}
	end();
}

static void exactly_full(const void *data)
{
	size_t len = 1024 - LINE(0);
	int i;

	begin(1 << 20);
	for (i = 0; i < 16; i++)
		add(len);
	CHECK_EQ(share.bytes, LUNATIK_LOG_BYTES);
	CHECK_EQ(oldest(), 1);
	add(0);
	CHECK_EQ(oldest(), 2);
	check_lines();
	check_finds();
	end();
}

static void empty_lines_count(const void *data)
{
	int i;

	begin(1 << 20);
	for (i = 0; i < 10000; i++)
		add(0);
	CHECK_EQ(share.bytes, LUNATIK_LOG_BYTES / LINE(0) * LINE(0));
	check_lines();
	check_finds();
	end();
}

/* print() refuses them; the log would keep one, alone. */
static void longer_than_the_log(const void *data)
{
	begin(1 << 20);
	add(10);
	add(LUNATIK_LOG_BYTES - LINE(0));
	CHECK_EQ(oldest(), 2);
	check_lines();
	add(LUNATIK_LOG_BYTES - LINE(0) + 1);
	CHECK_EQ(oldest(), 3);
	check_lines();
	add(3 * LUNATIK_LOG_BYTES);
	CHECK_EQ(oldest(), 4);
	check_lines();
	check_finds();
	add(0);
	CHECK_EQ(oldest(), 5);
	check_lines();
	end();
}

/* Old lines go when the state's cap leaves no room, before the new one is refused. */
static void lines_make_room_for_lines(const void *data)
{
	u32 cap = 2000;
	int i;

	begin(cap);
	for (i = 0; i < 200; i++) {
		CHECK(add(test_below(cap - LINE(0) + 1)));
		CHECK(heap.held <= cap);
		check_lines();
	}
	CHECK(!add(cap));
	CHECK_EQ(oldest(), 0);
	CHECK_EQ(logs.last, 200);
	check_lines();
	CHECK_EQ(add(1)->sequence, 201);
	check_finds();
	end();
}

static void without_memory(const void *data)
{
	begin(1 << 20);
	add(10);
	add(10);
	/* One line less, and it works. */
	host_fail(1, 0);
	CHECK(add(10));
	CHECK_EQ(oldest(), 2);
	/* No line at all, and it still fails. */
	host_fail(1, 1000);
	CHECK(!add(10));
	CHECK_EQ(oldest(), 0);
	check_lines();
	host_fail_none();
	CHECK_EQ(add(10)->sequence, 4);
	end();
}

/* A line without its place in the list: the numbers around a u64's end. */
static void numbers_of_64_bits(const void *data)
{
	begin(1 << 20);
	logs.last = ~0ULL - 3;
	add(1);
	add(2);
	CHECK_EQ(lunatik_log_find(&logs, 0)->sequence, ~0ULL - 2);
	CHECK_EQ(lunatik_log_find(&logs, ~0ULL - 1)->sequence, ~0ULL - 1);
	CHECK(!lunatik_log_find(&logs, ~0ULL));
	logs.last = 1ULL << 40;
	end();
}

static void put_into_messages(const void *data)
{
	static const size_t lengths[] = { 0, 1, 3, 4, 100, LUNATIK_LOG_LINE_MAX };
	size_t i, room;

	begin(1 << 20);
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		const struct lunatik_log_line *line = add(lengths[i]);
		size_t need = 2 * nla_total_size(8) + nla_total_size(line->len);

		for (room = need > 40 ? need - 40 : 0; room <= need + 4; room += 4) {
			struct sk_buff *skb = alloc_skb(room, GFP_KERNEL);
			int err = lunatik_log_put(skb, line);

			CHECK_EQ(err, room < need ? -EMSGSIZE : 0);
			if (!err) {
				const struct nlattr *attr = (struct nlattr *)skb->data;

				CHECK_EQ(skb->len, need);
				CHECK_EQ(nla_type(attr), LUNATIK_A_SEQUENCE);
				CHECK_EQ(nla_get_s64(attr), line->sequence);
				attr = (struct nlattr *)(skb->data + nla_total_size(8));
				CHECK_EQ(nla_type(attr), LUNATIK_A_TIME);
				CHECK_EQ(nla_get_s64(attr), line->time);
				attr = (struct nlattr *)(skb->data + 2 * nla_total_size(8));
				CHECK_EQ(nla_type(attr), LUNATIK_A_TEXT);
				CHECK_EQ(nla_len(attr), line->len);
				CHECK(!memcmp(nla_data(attr), line->text, line->len));
			}
			kfree_skb(skb);
		}
	}
	end();
}

static const struct test_case cases[] = {
	TEST(empty),
	TEST(lines_of_any_length),
	TEST(exactly_full),
	TEST(empty_lines_count),
	TEST(longer_than_the_log),
	TEST(lines_make_room_for_lines),
	TEST(without_memory),
	TEST(numbers_of_64_bits),
	TEST(put_into_messages),
	{ }
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, cases);
}
