// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "test.h"

static u64 seed, random_state;

/* A failure must tell what it came from, so it is printed before all else. */
static void seed_random(void)
{
	const char *text = getenv("LUNATIK_SEED");

	if (text)
		seed = strtoull(text, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		abort();
	random_state = seed;
	printf("LUNATIK_SEED=%#llx\n", seed);
	fflush(stdout);
}

/* splitmix64 */
u64 test_random(void)
{
	u64 z = random_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

u64 test_below(u64 n)
{
	return test_random() % n;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	/* Not exit(): what the case had would be reported as leaks. */
	_Exit(1);
}

int test_main(int argc, char **argv, const struct test_case *cases)
{
	const char *wanted = argc > 1 ? argv[1] : NULL;
	const struct test_case *test;
	bool found = false;

	if (wanted && !strcmp(wanted, "--list")) {
		for (test = cases; test->name; test++)
			puts(test->name);
		return 0;
	}
	seed_random();
	for (test = cases; test->name; test++) {
		if (wanted && strcmp(wanted, test->name))
			continue;
		found = true;
		printf("%s\n", test->name);
		fflush(stdout);
		test->run(test->data);
	}
	if (!found)
		FAIL("no case %s", wanted);
	return 0;
}
