/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_NET_CHECKSUM_H
#define HOST_NET_CHECKSUM_H

#include <linux/kernel.h>
#include <asm/byteorder.h>

/* Sums of 16-bit words in the order of the packet, with carries around the end. */
typedef u16 __sum16;
typedef u32 __wsum;

#define CSUM_MANGLED_0	((__sum16)0xffff)

static inline __wsum csum_add(__wsum a, __wsum b)
{
	a += b;
	return a + (a < b);
}

static inline __wsum csum_sub(__wsum a, __wsum b)
{
	return csum_add(a, ~b);
}

static inline __sum16 csum_fold(__wsum sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static inline __wsum csum_unfold(__sum16 sum)
{
	return sum;
}

static inline __wsum csum_shift(__wsum sum, int offset)
{
	return offset & 1 ? sum << 24 | sum >> 8 : sum;
}

static inline __wsum csum_partial(const void *from, int n, __wsum sum)
{
	const u8 *byte = from;
	int i;

	for (i = 0; i < n; i++)
		sum = csum_add(sum, i & 1 ? byte[i] << 8 : byte[i]);
	return sum;
}

#endif
