/* SPDX-License-Identifier: GPL-2.0-only */
/* The checksums of a packet that is written to. */
#ifndef LUNATIK_CHECKSUM_H
#define LUNATIK_CHECKSUM_H

#include <net/checksum.h>

#include "packet.h"

/*
 * Puts n bytes to `off`, where they can be written, and changes the checksums of
 * IPv4, TCP, UDP, ICMP and ICMPv6 that are over them by the difference: one that was
 * wrong stays wrong, one that the device is to fill in is left to it. Who writes a
 * checksum itself has the last word. The headers are the outermost ones; those that are
 * inside a tunnel's are bytes like others.
 */
void lunatik_checksum_write(struct lunatik_packet *packet, s32 off, const void *from, u32 n);

/* Up to where the packet has to be writable for that: as far as its own bytes and those checksums. */
s32 lunatik_checksum_end(struct lunatik_packet *packet, s32 off, u32 n);

/*
 * Before bytes are appended to an skb, or cut off, which is all in one piece and nobody
 * else's: computes the checksum that the device is to fill in, which would do so to the
 * end of the packet, if it is not one that follows, as that of a header inside a tunnel.
 * 0 or -ENOMEM.
 */
int lunatik_checksum_settle(struct lunatik_packet *packet);

/*
 * Changes the lengths in the headers, and the checksums, for `more` bytes that are
 * appended, or for bytes that were cut off at the end, whose sum is `sum`; their
 * offset is `off`.
 */
void lunatik_checksum_resize(struct lunatik_packet *packet, s32 off, s32 more, __wsum sum);

#endif
