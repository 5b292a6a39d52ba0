// SPDX-License-Identifier: GPL-2.0-only
#include <linux/overflow.h>
#include <linux/string.h>
#include <linux/ktime.h>
#include <net/netlink.h>
#include <uapi/linux/lunatik.h>

#include "heap.h"
#include "log.h"

static size_t line_size(size_t len)
{
	return struct_size_t(struct lunatik_log_line, text, len);
}

void lunatik_log_init(struct lunatik_log *log)
{
	spin_lock_init(&log->lock);
	INIT_LIST_HEAD(&log->lines);
	log->last = 0;
}

void lunatik_log_share_init(struct lunatik_log_share *share)
{
	INIT_LIST_HEAD(&share->lines);
	share->bytes = 0;
}

static bool drop_oldest(struct lunatik_log_share *share, struct lunatik_log *log,
			struct lunatik_heap *heap)
{
	struct lunatik_log_line *line;

	line = list_first_entry_or_null(&share->lines, struct lunatik_log_line, own);
	if (!line)
		return false;
	list_del(&line->own);
	share->bytes -= line_size(line->len);
	spin_lock_bh(&log->lock);
	list_del(&line->list);
	spin_unlock_bh(&log->lock);
	lunatik_heap_free(heap, line, line_size(line->len));
	return true;
}

void lunatik_log_share_free(struct lunatik_log_share *share, struct lunatik_log *log,
			    struct lunatik_heap *heap)
{
	while (drop_oldest(share, log, heap))
		;
}

const struct lunatik_log_line *lunatik_log_add(struct lunatik_log *log,
					       struct lunatik_log_share *share,
					       struct lunatik_heap *heap,
					       const char *text, size_t len)
{
	u32 limit = min(LUNATIK_LOG_BYTES, heap->max / 4);
	size_t size = line_size(len);
	struct lunatik_log_line *line;

	while (share->bytes + size > limit && drop_oldest(share, log, heap))
		;
	/* Old lines make room for new ones when there is no other. */
	do
		line = lunatik_heap_alloc(heap, size);
	while (!line && drop_oldest(share, log, heap));
	if (!line)
		return NULL;

	line->time = ktime_get_real_ns();
	line->len = len;
	memcpy(line->text, text, len);
	list_add_tail(&line->own, &share->lines);
	share->bytes += size;
	spin_lock_bh(&log->lock);
	line->sequence = ++log->last;
	list_add_tail(&line->list, &log->lines);
	spin_unlock_bh(&log->lock);
	return line;
}

const struct lunatik_log_line *lunatik_log_find(const struct lunatik_log *log, u64 sequence)
{
	const struct lunatik_log_line *line, *found = NULL;

	/* A reader wants the newest lines most of the time. */
	list_for_each_entry_reverse(line, &log->lines, list) {
		if (line->sequence < sequence)
			break;
		found = line;
	}
	return found;
}

int lunatik_log_put(struct sk_buff *skb, const struct lunatik_log_line *line)
{
	if (nla_put(skb, LUNATIK_A_SEQUENCE, sizeof(line->sequence), &line->sequence) ||
	    nla_put(skb, LUNATIK_A_TIME, sizeof(line->time), &line->time) ||
	    nla_put(skb, LUNATIK_A_TEXT, line->len, line->text))
		return -EMSGSIZE;
	return 0;
}
