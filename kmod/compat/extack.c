// SPDX-License-Identifier: GPL-2.0-only
/*
 * Before NL_SET_ERR_MSG_FMT() an extended ACK could only point to a text, which
 * had to stay until the ACK was written, after the operation had returned. So
 * texts are written into a ring that many errors would have to go through in
 * that moment for one to be overwritten; even then it is a text.
 */
#include <linux/atomic.h>
#include <linux/kernel.h>
#include <net/genetlink.h>

#define TEXTS		256
#define TEXT_SIZE	80

const char *lunatik_extack_format(const char *fmt, ...);

const char *lunatik_extack_format(const char *fmt, ...)
{
	static char texts[TEXTS][TEXT_SIZE];
	static atomic_t last;
	char *text = texts[(unsigned int)atomic_inc_return(&last) % TEXTS];
	va_list args;

	va_start(args, fmt);
	vscnprintf(text, TEXT_SIZE, fmt, args);
	va_end(args);
	return text;
}
