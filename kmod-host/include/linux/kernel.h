/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_KERNEL_H
#define HOST_LINUX_KERNEL_H

/* What the module's sources take for granted whatever they include. */
#include <string.h>
#include <linux/kconfig.h>
#include <linux/stdarg.h>
#include <linux/types.h>

#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define noinline		__attribute__((noinline))
#define __cold			__attribute__((cold))
#define __force
#define __rcu
#undef __always_inline
#define __always_inline		inline __attribute__((always_inline))
#define __printf(a, b)		__attribute__((format(printf, a, b)))

#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value)	(*(volatile __typeof__(x) *)&(x) = (value))
#define barrier()		__asm__ __volatile__("" : : : "memory")

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#define __stringify_1(x...)	#x
#define __stringify(x...)	__stringify_1(x)

#define BIT(n)			(1UL << (n))
#define GENMASK_ULL(high, low)	(~0ULL >> (63 - (high)) & ~0ULL << (low))
#define ALIGN(x, a)		(((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))

#define min(a, b) ({ \
	__typeof__(a) min_a = (a); \
	__typeof__(b) min_b = (b); \
	min_a < min_b ? min_a : min_b; })
#define max(a, b) ({ \
	__typeof__(a) max_a = (a); \
	__typeof__(b) max_b = (b); \
	max_a > max_b ? max_a : max_b; })
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define max_t(type, a, b)	max((type)(a), (type)(b))
#define clamp_t(type, x, low, high)	min(max((type)(x), (type)(low)), (type)(high))

int host_scnprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
#define scnprintf	host_scnprintf

/* A warning of the kernel's is a failure here. */
void host_warn(const char *what, const char *file, int line);
#define WARN_ON_ONCE(condition) ({ \
	int warn_on = !!(condition); \
	if (warn_on) \
		host_warn(#condition, __FILE__, __LINE__); \
	warn_on; })

#define BUILD_BUG_ON(condition)	_Static_assert(!(condition), #condition)

#define might_sleep()		((void)0)
#define THIS_MODULE		NULL

#endif
