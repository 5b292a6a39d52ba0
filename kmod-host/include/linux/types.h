/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_TYPES_H
#define HOST_LINUX_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifndef __cplusplus
#define bool	_Bool
#define true	1
#define false	0
#endif

typedef unsigned char u8;
typedef unsigned short u16;
#define U16_MAX		((u16)~0U)
typedef unsigned int u32;
#define U32_MAX		((u32)~0U)
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;
#define S32_MAX		((s32)(U32_MAX >> 1))
#define U64_MAX		((u64)~0ULL)
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;

typedef unsigned int gfp_t;

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	s64 counter;
} atomic64_t;

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

struct rcu_head {
	void *unused;
};

#endif
