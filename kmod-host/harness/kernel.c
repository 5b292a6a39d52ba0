// SPDX-License-Identifier: GPL-2.0-only
/* What the kernel does for the module. */
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <linux/hrtimer.h>
#include <linux/random.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seq_buf.h>
#include <linux/siphash.h>
#include <net/genetlink.h>

#include "kernel.h"
#include "module.h"
#include "stack.h"
#include "test.h"

struct host_memory host_memory;
struct task_struct host_task;
struct hrtimer *host_timer;
u64 host_now = 1000 * NSEC_PER_MSEC;
u64 host_real_now = 1;
int host_rcu_nesting;

/* longjmp() and the frames of Lua's coroutines: one stack, no fake frames. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0:detect_leaks=1:allocator_may_return_null=1";
}

/*
 * The frames that longjmp() leaves have poisoned their surroundings and will
 * not clean up. __asan_handle_no_return() would clean the whole stack, also of
 * the frames that go on, where overflows are to be found still.
 */
void __real_lunatik_longjmp(unsigned long *buf, int value);
void __wrap_lunatik_longjmp(unsigned long *buf, int value);
__attribute__((no_sanitize("address")))
void __wrap_lunatik_longjmp(unsigned long *buf, int value)
{
	char *here = __builtin_frame_address(0), *there = (char *)buf[6];

	__asan_unpoison_memory_region(here, there - here);
	__real_lunatik_longjmp(buf, value);
}

void host_warn(const char *what, const char *file, int line)
{
	test_fail(file, line, "warning: %s", what);
}

void host_fail(u64 nth, u64 more)
{
	host_memory.fail_first = host_memory.allocations + nth;
	host_memory.fail_last = host_memory.fail_first + more;
}

void host_fail_none(void)
{
	host_memory.fail_first = 0;
	host_memory.fail_last = 0;
}

void *host_alloc(size_t size)
{
	u64 number = ++host_memory.allocations;
	void *ptr;

	CHECK(!host_rcu_nesting);
	if (number == host_memory.tick_at) {
		host_now = ~0ULL >> 1;
		host_tick();
	}
	if (number >= host_memory.fail_first && number <= host_memory.fail_last)
		return NULL;
	ptr = malloc(size);
	CHECK(ptr);
	host_memory.blocks++;
	host_memory.bytes += malloc_usable_size(ptr);
	return ptr;
}

void *host_zalloc(size_t size)
{
	void *ptr = host_alloc(size);

	return ptr ? memset(ptr, 0, size) : NULL;
}

void host_free(const void *ptr)
{
	if (!ptr)
		return;
	CHECK(host_memory.blocks--);
	host_memory.bytes -= malloc_usable_size((void *)ptr);
	free((void *)ptr);
}

u32 get_random_u32(void)
{
	return test_random();
}

u64 get_random_u64(void)
{
	return test_random();
}

u64 siphash_1u64(u64 first, const siphash_key_t *key)
{
	return (first ^ key->key[0]) * (key->key[1] | 1);
}

void get_random_bytes(void *bytes, size_t len)
{
	u8 *byte = bytes;

	while (len--)
		*byte++ = test_random();
}

u64 ktime_get_ns(void)
{
	return host_now;
}

u64 ktime_get_real_ns(void)
{
	return host_real_now++;
}

int host_scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return (size_t)len < size ? len : (int)size - 1;
}

bool host_ratelimit(struct ratelimit_state *limit)
{
	if (host_now - limit->begin > (u64)limit->interval * NSEC_PER_SEC / HZ) {
		limit->begin = host_now;
		limit->done = 0;
	}
	return limit->done++ < limit->burst;
}

/* Nothing runs on any other stack. */
unsigned long lunatik_irq_stack;

unsigned long lunatik_stack_find(unsigned long sp)
{
	FAIL("no task's stack");
}

void host_stack(unsigned long bytes)
{
	host_task.stack = (unsigned long)__builtin_frame_address(0) - bytes;
}

void host_tick(void)
{
	if (host_timer)
		host_timer->function(host_timer);
}

int seq_buf_printf(struct seq_buf *s, const char *fmt, ...)
{
	va_list args;
	size_t len;

	if (seq_buf_has_overflowed(s))
		return -1;
	va_start(args, fmt);
	len = vsnprintf(s->buffer + s->len, s->size - s->len, fmt, args);
	va_end(args);
	if (len >= s->size - s->len) {
		s->len = s->size + 1;
		return -1;
	}
	s->len += len;
	return 0;
}

int netlink_dump_start(struct sock *sk, struct sk_buff *request, const struct nlmsghdr *nlh,
		       struct netlink_dump_control *control)
{
	struct genl_info *info = (struct genl_info *)sk;
	struct netlink_callback cb = { .data = control->data };
	struct sk_buff *skb;

	if (control->start(&cb))
		FAIL("the dump does not start");
	do {
		skb = alloc_skb(control->min_dump_alloc, GFP_KERNEL);
		if (!skb) {
			info->ended = -ENOBUFS;
			break;
		}
		info->ended = control->dump(skb, &cb);
		if (skb->len)
			__skb_queue_tail(&info->sent, skb);
		else
			kfree_skb(skb);
	} while (info->ended > 0);
	control->done(&cb);
	return -EINTR;
}

static bool valid(const struct nlattr *attr, const struct nla_policy *policy)
{
	switch (policy->type) {
	case NLA_FLAG:
		return !nla_len(attr);
	case NLA_U8:
		return nla_len(attr) == 1 && (!policy->max || nla_get_u8(attr) <= policy->max);
	case NLA_S64:
		return nla_len(attr) == sizeof(s64);
	case NLA_BINARY:
		return true;
	}
	return false;
}

bool host_validate(const struct nlattr *attr, int len, const struct nla_policy *policy, int max)
{
	const struct nlattr *pos;
	int rem;

	nla_for_each_attr(pos, attr, len, rem) {
		/* Neither the bit of nests nor that of byte order belongs there. */
		if (pos->nla_type != nla_type(pos) || nla_type(pos) > max ||
		    !valid(pos, &policy[nla_type(pos)]))
			return false;
	}
	return rem <= 0;
}
