/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The log of a state: what its scripts print. Lines are numbered from 1; the
 * oldest of a replica go when its share has reached its bound. Written by whoever
 * runs a replica, read by anyone at any time.
 */
#ifndef LUNATIK_LOG_H
#define LUNATIK_LOG_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct lunatik_heap;
struct sk_buff;

/* Bytes of a full share, and at most a quarter of MAX_ALLOC, against which its lines count. */
#define LUNATIK_LOG_BYTES	16384U

struct lunatik_log_line {
	struct list_head list;		/* of all */
	struct list_head own;		/* of those that came from the same heap */
	u64 sequence;
	u64 time;	/* ns since the epoch */
	u32 len;
	char text[];
};

struct lunatik_log {
	spinlock_t lock;
	struct list_head lines;	/* oldest first */
	u64 last;		/* sequence number of the newest line ever */
};

/* What one heap holds of a log. Changed by whoever runs what the heap is for. */
struct lunatik_log_share {
	struct list_head lines;	/* oldest first */
	u32 bytes;
};

void lunatik_log_init(struct lunatik_log *log);
void lunatik_log_share_init(struct lunatik_log_share *share);
void lunatik_log_share_free(struct lunatik_log_share *share, struct lunatik_log *log,
			    struct lunatik_heap *heap);

/*
 * The memory comes from heap, whose share it is: as much as it allows of it. The
 * new line, valid until the next one is added to the share, or NULL when there is
 * no memory.
 */
const struct lunatik_log_line *lunatik_log_add(struct lunatik_log *log,
					       struct lunatik_log_share *share,
					       struct lunatik_heap *heap,
					       const char *text, size_t len);

/*
 * The first line from sequence on, or NULL. Under log->lock, as is the use of
 * what it returns.
 */
const struct lunatik_log_line *lunatik_log_find(const struct lunatik_log *log, u64 sequence);

/* Puts SEQUENCE, TIME and TEXT into a message. Any context. -EMSGSIZE. */
int lunatik_log_put(struct sk_buff *skb, const struct lunatik_log_line *line);

#endif
