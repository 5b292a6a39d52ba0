/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_SEQ_BUF_H
#define HOST_LINUX_SEQ_BUF_H

#include <linux/kernel.h>

struct seq_buf {
	char *buffer;
	size_t size, len;	/* len > size: it did not fit */
};

static inline void seq_buf_init(struct seq_buf *s, char *buffer, unsigned int size)
{
	*s = (struct seq_buf){ .buffer = buffer, .size = size };
}

static inline bool seq_buf_has_overflowed(const struct seq_buf *s)
{
	return s->len > s->size;
}

static inline unsigned int seq_buf_used(const struct seq_buf *s)
{
	return min(s->len, s->size);
}

int seq_buf_printf(struct seq_buf *s, const char *fmt, ...) __printf(2, 3);

#endif
