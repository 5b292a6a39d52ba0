// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets that are written to, trimmed and appended to have right checksums, if they
 * had before: each is summed up anew, by what is here and not by the module.
 */
#include <stdlib.h>
#include <string.h>
#include <linux/if_ether.h>
#include <linux/in.h>

#include "checksum.h"
#include "packet.h"
#include "test.h"

#define ROUNDS		20000
#define PACKET_BYTES	512

#define NEXT_HOP	0
#define NEXT_ROUTING	43
#define NEXT_FRAGMENT	44
#define NEXT_AUTH	51
#define NEXT_DEST	60

/* A packet, where its headers are, and what the module gets of it. */
struct made {
	struct lunatik_packet packet;
	struct sk_buff skb;
	u8 *block;		/* the bytes are its last ones, so that ASan sees what is beyond */
	u8 *bytes;
	u32 len;
	/* Of a first fragment: what the datagram has besides, whose length may be odd */
	u8 rest[64];
	u32 rest_len;
	s32 network, transport;	/* -1: none that is to be found */
	int version, protocol;
	s32 end;		/* of the datagram; what comes after it is padding */
	s32 covered;		/* by the transport's checksum, from `transport` on; -1: all */
	bool fragment, partial, zero;
	s32 inner, inner_sum;	/* what the device sums up, if not from `transport` on, and to where; or -1 */
	bool fixed[PACKET_BYTES];	/* bytes that say what is where, which writes keep */
};

static u16 get16(const u8 *at)
{
	return at[0] << 8 | at[1];
}

static void put16(u8 *at, u32 value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static void random_bytes(u8 *to, u32 n)
{
	/* Also such that carries come often. */
	u8 same = test_below(4) ? 0 : 0xff;

	while (n--)
		*to++ = same ?: test_random();
}

/* The sum of 16-bit words, the last one filled up with 0; `position` is the first byte's. */
static u32 sum_up(u32 sum, const u8 *from, u32 n, u32 position)
{
	u32 i;

	for (i = 0; i < n; i++)
		sum += (position + i) & 1 ? from[i] : from[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static s32 sum_offset(const struct made *made)
{
	switch (made->protocol) {
	case IPPROTO_TCP:
		return made->transport + 16;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return made->transport + 6;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return made->transport + 2;
	}
	return -1;
}

static bool has_transport_sum(const struct made *made)
{
	return made->transport >= 0 && sum_offset(made) >= 0 &&
	       sum_offset(made) + 2 <= (s32)made->len;
}

/* Does what the device is to do to a packet of which something is inside another. */
static void fill_in_inner(const struct made *made, u8 *bytes)
{
	if (made->inner >= 0 && made->skb.ip_summed == CHECKSUM_PARTIAL)
		put16(bytes + made->inner_sum,
		      0xffff - sum_up(0, bytes + made->inner, made->len - made->inner, 0));
}

/* What the receiver makes of it: 0xffff of a right checksum. Without the data if it is partial. */
static u32 transport_residue(const struct made *made)
{
	u8 bytes[PACKET_BYTES], *ip = bytes + made->network, *at = bytes + made->transport;
	u32 here = made->end - made->transport, whole = here + made->rest_len, sum = 0;
	u32 covered = made->covered >= 0 ? (u32)made->covered : whole;

	memcpy(bytes, made->bytes, made->len);
	fill_in_inner(made, bytes);
	if (made->protocol != IPPROTO_ICMP) {
		if (made->version == 4)
			sum = sum_up(sum, ip + 12, 8, 0);
		else
			sum = sum_up(sum, ip + 8, 32, 0);
		sum += made->protocol + (made->protocol == IPPROTO_UDP ? get16(at + 4) : whole);
	}
	if (made->partial)
		return sum_up(sum, NULL, 0, 0);
	sum = sum_up(sum, at, min(here, covered), 0);
	if (covered > here)
		sum = sum_up(sum, made->rest, covered - here, here);
	return sum;
}

static bool is_right(const struct made *made)
{
	u8 *sum = made->bytes + sum_offset(made);

	if (made->zero)
		return !get16(sum);
	if (made->partial)	/* not inverted; 0 and 0xffff are the same */
		return get16(sum) % 0xffff == transport_residue(made) % 0xffff;
	return transport_residue(made) == 0xffff && (made->protocol != IPPROTO_UDP || get16(sum));
}

static void fill_in(struct made *made)
{
	u8 *ip = made->bytes + made->network, *sum;
	u32 residue;

	if (made->version == 4) {
		put16(ip + 10, 0);
		put16(ip + 10, 0xffff - sum_up(0, ip, 4 * (ip[0] & 15), 0));
	}
	if (!has_transport_sum(made))
		return;
	sum = made->bytes + sum_offset(made);
	put16(sum, 0);
	if (made->zero)
		return;
	residue = transport_residue(made);
	put16(sum, made->partial ? residue : 0xffff - residue);
	if (!made->partial && made->protocol == IPPROTO_UDP && !get16(sum))
		put16(sum, 0xffff);
}

static void fix(struct made *made, s32 at, u32 n)
{
	memset(made->fixed + at, true, n);
}

/* IPv6's extension headers; *at is moved behind them, the first one's number is left. */
static u8 put_extensions(struct made *made, s32 *at, u8 protocol, int fragment)
{
	static const u8 kinds[] = { NEXT_HOP, NEXT_ROUTING, NEXT_AUTH, NEXT_DEST, NEXT_DEST };
	s32 chain = made->network + 6;
	int i, count = test_below(4);

	for (i = 0; i <= count; i++) {
		bool last = i == count;
		u8 kind = last ? NEXT_FRAGMENT : kinds[test_below(sizeof(kinds))];
		u32 units = test_below(3), size = kind == NEXT_AUTH ? 4 * (units + 2) : 8 * (units + 1);

		if (last && !fragment)
			break;
		made->bytes[chain] = kind;
		chain = *at;
		random_bytes(made->bytes + *at, size);
		made->bytes[*at + 1] = units;
		fix(made, *at, 2);
		if (kind == NEXT_ROUTING)	/* arrived */
			made->bytes[*at + 3] = 0;
		if (last) {
			size = 8;
			put16(made->bytes + *at + 2, fragment > 1 ? 8 * (1 + test_below(100)) : 1);
			fix(made, *at + 2, 2);
		}
		*at += size;
	}
	made->bytes[chain] = protocol;
	return protocol;
}

/* fragment: 0 none, 1 the first, 2 a later one. */
static void put_network(struct made *made, s32 *at, int fragment)
{
	u8 *ip = made->bytes + made->network;
	u32 size;

	if (made->version == 4) {
		size = 20 + 4 * test_below(11);
		random_bytes(ip, size);
		ip[0] = 0x40 | size / 4;
		put16(ip + 6, fragment > 1 ? test_below(2) << 13 | (1 + test_below(100)) :
			      fragment ? 0x2000 : test_below(2) << 14);
		ip[9] = made->protocol;
		fix(made, made->network, 1);
		fix(made, made->network + 2, 2);
		fix(made, made->network + 6, 2);
		fix(made, made->network + 9, 1);
		*at += size;
		return;
	}
	random_bytes(ip, 40);
	ip[0] = 0x60 | (ip[0] & 15);
	fix(made, made->network, 1);
	fix(made, made->network + 4, 3);
	*at += 40;
	put_extensions(made, at, made->protocol, fragment);
}

static void put_transport(struct made *made, s32 *at)
{
	u8 *header = made->bytes + made->transport;

	random_bytes(header, 64);
	switch (made->protocol) {
	case IPPROTO_TCP:
		header[12] = (5 + test_below(11)) << 4;
		*at += header[12] >> 2;
		break;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		fix(made, *at + 4, 2);
		*at += 8;
		break;
	default:
		*at += 8;
	}
}

/* Makes the pseudo header's sum 0, which here does not tell that there is none. */
static void leave_zero(struct made *made)
{
	u8 *sum = made->bytes + sum_offset(made);
	u8 *address = made->bytes + made->network + (made->version == 4 ? 12 : 8);

	put16(address, (get16(address) + 0xffff - get16(sum)) % 0xffff);
	fill_in(made);
	CHECK_EQ(get16(sum) % 0xffff, 0);
	put16(sum, 0);
}

static void make(struct made *made)
{
	static const int protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP, IPPROTO_UDPLITE,
					 IPPROTO_ICMP, IPPROTO_ICMPV6, 132 };
	bool xdp = test_below(3) == 0;
	int fragment = test_below(3) ? 0 : 1 + test_below(2), tags, i;
	u8 room[PACKET_BYTES + 128];
	s32 at = 0;

	memset(made, 0, sizeof(*made));
	made->bytes = room;
	made->version = test_below(2) ? 4 : 6;
	made->protocol = protocols[test_below(ARRAY_SIZE(protocols))];
	made->transport = -1;
	made->covered = -1;
	made->inner = -1;
	if (xdp) {
		random_bytes(room, 12);
		at = 12;
		for (tags = test_below(3); tags; tags--, at += 4) {
			put16(room + at, tags == 2 ? ETH_P_8021AD : ETH_P_8021Q);
			fix(made, at, 2);
			random_bytes(room + at + 2, 2);
		}
		put16(room + at, made->version == 4 ? ETH_P_IP : ETH_P_IPV6);
		fix(made, at, 2);
		at += 2;
	}
	made->network = at;
	made->fragment = fragment;
	put_network(made, &at, fragment);
	if (fragment < 2) {
		made->transport = at;
		put_transport(made, &at);
	}
	i = test_below(100);
	random_bytes(room + at, i);
	at += i;
	made->end = at;
	if (fragment == 1) {
		made->rest_len = test_below(sizeof(made->rest));
		random_bytes(made->rest, made->rest_len);
	}
	if (made->version == 4)
		put16(room + made->network + 2, at - made->network);
	else
		put16(room + made->network + 4, at - made->network - 40);
	if (made->transport >= 0 &&
	    (made->protocol == IPPROTO_UDP || made->protocol == IPPROTO_UDPLITE)) {
		i = at - made->transport + made->rest_len;
		/* It may end before the packet, or its checksum may. */
		if (!fragment && !test_below(6))
			i = 8 + test_below(i - 7);
		if (made->protocol == IPPROTO_UDPLITE && !test_below(2))
			put16(room + made->transport + 4, 0);
		else
			put16(room + made->transport + 4, made->covered = i);
		made->zero = made->protocol == IPPROTO_UDP && !test_below(5);
	}
	made->partial = !xdp && !fragment && !made->zero && !test_below(3) &&
			(made->protocol == IPPROTO_TCP || made->protocol == IPPROTO_UDP);
	if (!xdp && !fragment && made->protocol == IPPROTO_UDP && at - made->transport > 30 &&
	    made->covered == at - made->transport && !test_below(2)) {
		made->inner = made->transport + 8 + 2 * test_below(4);
		made->inner_sum = made->inner + (test_below(2) ? 6 : 12);
	}
	if (!test_below(6)) {
		i = test_below(20);
		random_bytes(room + at, i);
		at += i;
	}
	if (made->partial || made->inner >= 0) {
		/* The device sums up the padding, too. */
		i = made->covered >= 0 ? made->transport + made->covered : made->end;
		memset(room + i, 0, at - i);
		fix(made, i, at - i);
	}
	made->len = at;
	made->block = malloc(PACKET_BYTES);
	CHECK(made->block);
	made->bytes = made->block + PACKET_BYTES - at;
	memcpy(made->bytes, room, at);

	made->skb = (struct sk_buff){
		.protocol	= htons(made->version == 4 ? ETH_P_IP : ETH_P_IPV6),
		.ip_summed	= made->partial ? CHECKSUM_PARTIAL : test_below(CHECKSUM_PARTIAL),
		.csum_start	= made->transport,
		.csum_offset	= sum_offset(made) - made->transport,
	};
	if (made->inner >= 0) {
		made->skb.ip_summed = CHECKSUM_PARTIAL;
		made->skb.csum_start = made->inner;
		made->skb.csum_offset = made->inner_sum - made->inner;
		/* Only what is to be cut has no checksum outside yet. */
		if (made->partial) {
			made->skb.gso_size = 1;
			made->skb.gso_type = SKB_GSO_UDP_TUNNEL_CSUM;
			if (!test_below(3)) {
				made->skb.gso_type |= SKB_GSO_FRAGLIST;
				made->skb.ip_summed = CHECKSUM_UNNECESSARY;
			}
		} else if (made->zero && test_below(2)) {
			made->skb.gso_size = 1;
			made->skb.gso_type = SKB_GSO_UDP_TUNNEL;
		}
	} else if (made->partial && test_below(2)) {
		/* What is to be cut is so without being called so. */
		made->skb.ip_summed = CHECKSUM_NONE;
		made->skb.gso_size = 1;
	} else if (!made->partial && !test_below(4)) {
		made->skb.gso_size = 1;
		made->skb.gso_type = SKB_GSO_FRAGLIST;
	}
	fill_in(made);
	if (made->partial && made->skb.ip_summed == CHECKSUM_PARTIAL && made->inner < 0 &&
	    !test_below(8))
		leave_zero(made);
	made->packet.kind = xdp ? LUNATIK_HOOK_XDP :
			    test_below(2) ? LUNATIK_HOOK_NETFILTER : LUNATIK_HOOK_TC;
	made->packet.skb = xdp ? NULL : &made->skb;
	made->packet.buffer = (struct lunatik_buffer){ .data = made->bytes, .linear = at, .len = at };
}

static void check_layout(struct made *made)
{
	const struct lunatik_layout *layout = lunatik_packet_layout(&made->packet);

	CHECK(layout->known);
	CHECK_EQ(layout->version, made->version);
	CHECK_EQ(layout->network, made->network);
	CHECK_EQ(layout->transport, made->transport);
	CHECK_EQ(layout->fragment, made->fragment);
	if (made->transport >= 0)
		CHECK_EQ(layout->transport_protocol, made->protocol);
}

static void check_sums(struct made *made)
{
	const u8 *ip = made->bytes + made->network;

	if (made->version == 4)
		CHECK_EQ(sum_up(0, ip, 4 * (ip[0] & 15), 0), 0xffff);
	if (has_transport_sum(made))
		CHECK(is_right(made));
}

static bool meets(s32 at, u32 n, s32 sum)
{
	return sum >= 0 && at < sum + 2 && at + (s32)n > sum;
}

/* Whether the byte at `at` is of a checksum that the module keeps. */
static bool is_sum(const struct made *made, s32 at)
{
	return (made->version == 4 && meets(at, 1, made->network + 10)) ||
	       (has_transport_sum(made) && meets(at, 1, sum_offset(made)));
}

static void write_once(struct made *made)
{
	u32 i, n = test_below(made->len + 1), off = test_below(made->len - n + 1);
	bool ip_covered = made->version == 4 && meets(off, n, made->network + 10);
	bool covered = has_transport_sum(made) && meets(off, n, sum_offset(made));
	u8 from[PACKET_BYTES], old[PACKET_BYTES];

	random_bytes(from, n);
	memcpy(old, made->bytes, made->len);
	for (i = 0; i < n; i++)
		if (made->fixed[off + i])
			from[i] = old[off + i];
	/* Only as far as it has to be is the packet one that can be written to. */
	made->packet.buffer.linear = lunatik_checksum_end(&made->packet, off, n);
	CHECK(made->packet.buffer.linear <= made->len);
	lunatik_checksum_write(&made->packet, off, from, n);
	made->packet.buffer.linear = made->len;

	for (i = 0; i < made->len; i++) {
		if (i >= off && i - off < n)
			CHECK_EQ(made->bytes[i], from[i - off]);
		else if (!is_sum(made, i))
			CHECK_EQ(made->bytes[i], old[i]);
	}
	/* Who writes a checksum, or a part of it, has the last word. */
	if (ip_covered)
		for (i = made->network + 10; i < (u32)made->network + 12; i++)
			CHECK_EQ(made->bytes[i], i >= off && i - off < n ? from[i - off] : old[i]);
	if (covered)
		for (i = sum_offset(made); i < (u32)sum_offset(made) + 2; i++)
			CHECK_EQ(made->bytes[i], i >= off && i - off < n ? from[i - off] : old[i]);
	if (ip_covered || covered)
		fill_in(made);
	check_sums(made);
}

/* As the methods do it, for packets that are not to be cut */
static void settle(struct made *made)
{
	bool whole = made->end == (s32)made->len &&
		     (made->protocol != IPPROTO_UDP || made->covered == made->end - made->transport);
	u32 before = 0;

	lunatik_packet_layout(&made->packet);
	if (!made->packet.skb || made->skb.gso_size)
		return;
	made->skb.data = made->bytes;
	made->skb.len = made->len;
	if (made->inner >= 0)
		before = get16(made->bytes + made->inner_sum);
	CHECK_EQ(lunatik_checksum_settle(&made->packet), 0);
	if (made->inner >= 0 && made->skb.ip_summed != CHECKSUM_PARTIAL) {
		CHECK_EQ(sum_up(before, made->bytes + made->inner, made->len - made->inner, 0) %
			 0xffff, 0);
		made->inner = -1;
	}
	CHECK(made->inner < 0);
	/* What comes to the datagram's end comes to its checksum's, too: that is left alone. */
	if (made->partial) {
		CHECK_EQ(made->skb.ip_summed == CHECKSUM_PARTIAL, whole);
		made->partial = whole;
	}
}

static void append_once(struct made *made)
{
	u32 n = test_below(40), end = made->len;
	bool at_end = made->end == (s32)made->len;
	u8 *block = malloc(PACKET_BYTES + 64), *bytes = block + 64 + PACKET_BYTES - end - n;

	CHECK(block);
	memcpy(bytes, made->bytes, end);
	random_bytes(bytes + end, n);
	free(made->block);
	made->block = block;
	made->bytes = bytes;
	made->packet.buffer.data = bytes;
	settle(made);
	made->len += n;
	made->packet.buffer.linear = made->packet.buffer.len = made->len;
	lunatik_checksum_resize(&made->packet, end, n, csum_partial(bytes + end, n, 0));
	made->packet.layout.known = false;
	if (at_end && made->fragment) {
		/* The datagram is another one now: its parts do not fit any more. */
		made->end += n;
		fill_in(made);
		return;
	}
	if (at_end) {
		/* A datagram that ended before goes on to. */
		if (made->protocol == IPPROTO_UDP && made->covered == made->end - made->transport)
			made->covered += n;
		made->end += n;
	}
	check_sums(made);
}

static s32 header_end(const struct made *made)
{
	if (made->transport < 0)
		return made->network + 40 + 8 * 4 * 4;
	switch (made->protocol) {
	case IPPROTO_TCP:
		return made->transport + 20;
	default:
		return made->transport + 8;
	}
}

static void trim_once(struct made *made)
{
	s32 least = header_end(made);
	bool at_end = made->end == (s32)made->len;
	bool follows = made->protocol == IPPROTO_UDP && made->transport >= 0 && !made->fragment &&
		       made->covered == made->end - made->transport;
	u8 gone[PACKET_BYTES];
	u32 len, cut;

	/* What says that there is more than there is no receiver takes. */
	if (made->covered >= 0 && !follows)
		least = max(least, made->transport + made->covered);
	least = min(least, (s32)made->len);
	len = least + test_below(made->len - least + 1);
	cut = made->len - len;
	/* With padding behind it, what is cut off of the datagram is its sender's to tell. */
	if (!at_end && (s32)len < made->end)
		return;
	settle(made);
	memcpy(gone, made->bytes + len, cut);
	made->len = len;
	made->packet.buffer.linear = made->packet.buffer.len = len;
	lunatik_checksum_resize(&made->packet, len, -(s32)cut, csum_partial(gone, cut, 0));
	made->packet.layout.known = false;
	if (at_end) {
		made->end = len;
		if (follows)
			made->covered -= cut;
		if (made->fragment)
			fill_in(made);
	}
	check_sums(made);
}

static void unmake(struct made *made)
{
	free(made->block);
}

static void any(const void *data)
{
	struct made made;
	int i, n;

	for (i = 0; i < ROUNDS; i++) {
		make(&made);
		check_sums(&made);
		check_layout(&made);
		for (n = test_below(6); n >= 0 && made.len < PACKET_BYTES - 40; n--) {
			/* What is to be cut keeps its length. */
			switch (made.inner >= 0 && made.skb.gso_size ? 3 : test_below(4)) {
			case 0:
				append_once(&made);
				break;
			case 1:
				trim_once(&made);
				break;
			default:
				write_once(&made);
			}
			check_layout(&made);
		}
		unmake(&made);
	}
}

/* A sum that was wrong is wrong by the same afterwards: nobody takes it for a right one. */
static void wrong_stays_wrong(const void *data)
{
	struct made made;
	u32 before, n, off;
	u8 from[16], *sum;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		make(&made);
		if (has_transport_sum(&made) && !made.zero && !made.partial) {
			sum = made.bytes + sum_offset(&made);
			put16(sum, get16(sum) ^ (1 + test_below(0xfffe)));
			/* None at all would be right. */
			if (made.protocol == IPPROTO_UDP && !get16(sum))
				put16(sum, 1);
			before = transport_residue(&made);
			n = min(made.end - sum_offset(&made) - 2, (s32)sizeof(from));
			off = made.end - n;
			random_bytes(from, n);
			for (u32 k = 0; k < n; k++)
				if (made.fixed[off + k])
					from[k] = made.bytes[off + k];
			lunatik_checksum_write(&made.packet, off, from, n);
			CHECK_EQ(transport_residue(&made) % 0xffff, before % 0xffff);
		}
		unmake(&made);
	}
}

/* Whatever the bytes are, nothing beyond them is looked at. */
static void garbage(const void *data)
{
	struct made made;
	u8 from[64];
	u32 len, n, off;
	int i;

	for (i = 0; i < 4 * ROUNDS; i++) {
		make(&made);
		len = test_below(made.len + 1);
		memmove(made.block + PACKET_BYTES - len, made.bytes, len);
		made.bytes = made.block + PACKET_BYTES - len;
		for (n = test_below(8); n && len; n--)
			made.bytes[test_below(len)] = test_random();
		made.packet.buffer.data = made.skb.data = made.bytes;
		made.packet.buffer.len = made.packet.buffer.linear = made.skb.len = len;
		made.skb.csum_start = (s32)test_below(len + 40) - 20;
		made.skb.csum_offset = test_below(40);
		n = test_below(min(len, (u32)sizeof(from)) + 1);
		off = test_below(len - n + 1);
		random_bytes(from, n);
		CHECK(lunatik_checksum_end(&made.packet, off, n) <= (s32)len);
		lunatik_checksum_write(&made.packet, off, from, n);
		n = test_below(len + 1);
		if (made.packet.skb)
			lunatik_checksum_settle(&made.packet);
		lunatik_packet_layout(&made.packet);
		made.packet.buffer.len = made.packet.buffer.linear = len - n;
		lunatik_checksum_resize(&made.packet, len - n, -(s32)n,
					csum_partial(made.bytes + len - n, n, 0));
		unmake(&made);
	}
}

static bool read_far(const struct lunatik_buffer *buffer, s32 off, void *to, u32 n)
{
	CHECK(off >= 0 && off + n <= buffer->len && off + n > buffer->linear);
	memcpy(to, buffer->data + off, n);
	return true;
}

/* Headers are found wherever they lie. */
static void in_pieces(const void *data)
{
	static const struct lunatik_buffer_ops ops = { .read = read_far };
	struct made made;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		make(&made);
		made.packet.buffer.ops = &ops;
		made.packet.buffer.linear = test_below(made.len + 1);
		check_layout(&made);
		unmake(&made);
	}
}

static const struct test_case cases[] = {
	TEST(any),
	TEST(wrong_stays_wrong),
	TEST(garbage),
	TEST(in_pieces),
	{},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, cases);
}
