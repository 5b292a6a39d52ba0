/* SPDX-License-Identifier: GPL-2.0-only */
/* Named cases, and what they check. A case runs in a process of its own. */
#ifndef HOST_TEST_H
#define HOST_TEST_H

#include <linux/types.h>

struct test_case {
	const char *name;
	void (*run)(const void *data);
	const void *data;
};

#define TEST(function)		{ .name = #function, .run = function }

/* Without arguments runs all; --list names them. `cases` ends with one without a name. */
int test_main(int argc, char **argv, const struct test_case *cases);

/* Ends the case as failed. */
void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));

#define FAIL(fmt, ...)		test_fail(__FILE__, __LINE__, fmt, ##__VA_ARGS__)
#define CHECK(condition) \
	do { \
		if (!(condition)) \
			FAIL("%s", #condition); \
	} while (0)
#define CHECK_EQ(a, b) \
	do { \
		long long check_a = (a), check_b = (b); \
		if (check_a != check_b) \
			FAIL("%s is %lld, %s is %lld", #a, check_a, #b, check_b); \
	} while (0)

/* Random numbers from $LUNATIK_SEED or, without it, a seed that is printed. */
u64 test_random(void);
/* Uniform enough in 0..n - 1. */
u64 test_below(u64 n);

#endif
