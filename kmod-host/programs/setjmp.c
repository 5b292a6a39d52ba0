// SPDX-License-Identifier: GPL-2.0-only
/* kmod/lua/setjmp_x86_64.S */
#include <sanitizer/asan_interface.h>
#include <linux/kernel.h>

#include "lua/include/setjmp.h"
#include "test.h"

/* What the ABI has a function preserve, and where it was called from. */
struct registers {
	u64 rbx, rbp, r12, r13, r14, r15, rsp;
};

struct registers before, after;
jmp_buf buffer;

/* Overwrites every register it may and leaves through `buffer`. */
static noinline void spoil_and_jump(long value)
{
	asm volatile(
		"movq %1, %%rsi\n\t"
		"movq %0, %%rdi\n\t"
		"movq $-1, %%rbx\n\t"
		"movq $-2, %%r12\n\t"
		"movq $-3, %%r13\n\t"
		"movq $-4, %%r14\n\t"
		"movq $-5, %%r15\n\t"
		"movq $-6, %%rbp\n\t"
		"subq $1000, %%rsp\n\t"
		"andq $-16, %%rsp\n\t"
		"call __real_lunatik_longjmp\n\t"
		"ud2"
		: : "r" (&buffer), "r" (value) : "rdi", "rsi", "memory");
}

/*
 * Fills the preserved registers from `before`, calls setjmp() and, the first
 * time it returns, jump(value); the second time stores them into `after` and
 * returns what setjmp() did. Not C: that would have registers of its own.
 */
long second_return(void (*jump)(long), long value);
asm(
	".text\n"
	".type second_return, @function\n"
	"second_return:\n\t"
	"pushq %rbp\n\t"
	"pushq %rbx\n\t"
	"pushq %r12\n\t"
	"pushq %r13\n\t"
	"pushq %r14\n\t"
	"pushq %r15\n\t"
	"pushq %rsi\n\t"
	"pushq %rdi\n\t"
	"subq $8, %rsp\n\t"
	"movq before+0(%rip), %rbx\n\t"
	"movq before+8(%rip), %rbp\n\t"
	"movq before+16(%rip), %r12\n\t"
	"movq before+24(%rip), %r13\n\t"
	"movq before+32(%rip), %r14\n\t"
	"movq before+40(%rip), %r15\n\t"
	"movq %rsp, before+48(%rip)\n\t"
	"leaq buffer(%rip), %rdi\n\t"
	"call lunatik_setjmp\n\t"
	"testl %eax, %eax\n\t"
	"jne 1f\n\t"
	"movq 16(%rsp), %rdi\n\t"
	"call *8(%rsp)\n\t"
	"ud2\n"
	"1:\n\t"
	"movq %rbx, after+0(%rip)\n\t"
	"movq %rbp, after+8(%rip)\n\t"
	"movq %r12, after+16(%rip)\n\t"
	"movq %r13, after+24(%rip)\n\t"
	"movq %r14, after+32(%rip)\n\t"
	"movq %r15, after+40(%rip)\n\t"
	"movq %rsp, after+48(%rip)\n\t"
	"addq $24, %rsp\n\t"
	"popq %r15\n\t"
	"popq %r14\n\t"
	"popq %r13\n\t"
	"popq %r12\n\t"
	"popq %rbx\n\t"
	"popq %rbp\n\t"
	"movslq %eax, %rax\n\t"
	"ret\n"
	".size second_return, . - second_return\n"
);

static void registers_are_preserved(const void *data)
{
	int i;

	for (i = 0; i < 10000; i++) {
		u64 *words = (u64 *)&before;
		unsigned int word;
		int value = test_random() | 1;

		for (word = 0; word < 6; word++)
			words[word] = test_random();
		CHECK_EQ(second_return(spoil_and_jump, value), value);
		CHECK(!memcmp(&before, &after, sizeof(before)));
		/* As the ABI has it at each call. */
		CHECK_EQ(after.rsp % 16, 0);
	}
}

static void values_come_through(const void *data)
{
	static const int values[] = { 1, -1, 2, 0x7fffffff, -0x7fffffff - 1 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		jmp_buf buf;
		int value = setjmp(buf);

		if (!value)
			longjmp(buf, values[i]);
		CHECK_EQ(value, values[i]);
	}
}

/* The buffer's eight words are all that is written. */
static void buffers_are_large_enough(const void *data)
{
	unsigned long words[10] = { 0 };

	words[0] = words[9] = 0x5a5a5a5a5a5a5a5a;
	if (!setjmp(&words[1]))
		longjmp(&words[1], 1);
	CHECK(words[0] == 0x5a5a5a5a5a5a5a5a && words[9] == 0x5a5a5a5a5a5a5a5a);
	CHECK(words[8]);
}

static jmp_buf *chain[64];

static noinline void nest(int depth, volatile int *seen)
{
	volatile char local[128];
	jmp_buf buf;
	int value;

	memset((void *)local, depth, sizeof(local));
	chain[depth] = &buf;
	value = setjmp(buf);
	if (!value) {
		if (depth + 1 < (int)ARRAY_SIZE(chain))
			nest(depth + 1, seen);
		else
			longjmp(*chain[depth], depth + 1);
	}
	CHECK_EQ(value, depth + 1);
	CHECK_EQ(local[0], depth);
	CHECK_EQ(local[127], depth);
	seen[depth]++;
	if (depth)
		longjmp(*chain[depth - 1], depth);
}

static void nested(const void *data)
{
	volatile int seen[ARRAY_SIZE(chain)] = { 0 };
	unsigned int i;

	nest(0, seen);
	for (i = 0; i < ARRAY_SIZE(chain); i++)
		CHECK_EQ(seen[i], 1);
}

static noinline void dive(jmp_buf buf, int depth)
{
	volatile char local[64];

	memset((void *)local, 0, sizeof(local));
	if (depth)
		dive(buf, depth - 1);
	longjmp(buf, 1 + local[depth % sizeof(local)]);
}

static void a_million_times(const void *data)
{
	volatile int i;
	jmp_buf buf;
	char *stack = __builtin_frame_address(0);

	for (i = 0; i < 1000000; i++) {
		if (!setjmp(buf))
			dive(buf, i % 10);
	}
	CHECK(stack == __builtin_frame_address(0));
	CHECK_EQ(i, 1000000);
}

/* Of the harness: frames that are left lose their poison, those that go on keep it. */
static void poison(const void *data)
{
	volatile char local[40];
	char *end = (char *)local + sizeof(local);
	char *stack = __builtin_frame_address(0);
	jmp_buf buf;

	local[0] = 1;
	CHECK(__asan_address_is_poisoned(end));
	if (!setjmp(buf))
		dive(buf, 50);
	CHECK(__asan_address_is_poisoned(end));
	CHECK(!__asan_region_is_poisoned(stack - 16384, 16384 - 512));
}

static const struct test_case cases[] = {
	TEST(registers_are_preserved),
	TEST(values_come_through),
	TEST(buffers_are_large_enough),
	TEST(nested),
	TEST(a_million_times),
	TEST(poison),
	{ }
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, cases);
}
