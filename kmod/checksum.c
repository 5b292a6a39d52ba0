// SPDX-License-Identifier: GPL-2.0-only
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/minmax.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>

#include "checksum.h"

/* Bytes of a packet, as the offsets of scripts */
struct span {
	s32 begin, end;
};

static struct span both(struct span a, struct span b)
{
	return (struct span){ max(a.begin, b.begin), min(a.end, b.end) };
}

static bool is_empty(struct span a)
{
	return a.begin >= a.end;
}

/* The checksum of a transport header. */
struct transport_sum {
	__sum16 *sum;
	bool pseudo;		/* it is over the addresses, too */
	bool never_zero;	/* unless there is none */
	bool part;		/* it says how many bytes it is over, maybe not all */
	s32 end;		/* of what it is over */
};

enum sum_kind {
	SUM_NONE,
	SUM_WHOLE,
	SUM_PARTIAL,	/* over the pseudo header alone, and not inverted */
};

/* What is directly writable at an offset, or NULL. */
static void *at(const struct lunatik_packet *packet, s32 off, u32 n)
{
	const struct lunatik_buffer *buffer = &packet->buffer;

	return off >= buffer->low && off + (s64)n <= buffer->linear ? buffer->data + off : NULL;
}

/* Where the checksum of the transport header is, or would be; -1 if there is none. */
static s32 transport_sum_offset(const struct lunatik_layout *layout)
{
	s32 off = layout->transport;

	if (off < 0)
		return -1;
	switch (layout->transport_protocol) {
	case IPPROTO_TCP:
		return off + offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return off + offsetof(struct udphdr, check);
	case IPPROTO_ICMPV6:
		return off + offsetof(struct icmp6hdr, icmp6_cksum);
	case IPPROTO_ICMP:
		return off + offsetof(struct icmphdr, checksum);
	}
	return -1;
}

/* Of what IP carries, which may be followed by padding. Its header is there. */
static s32 datagram_end(const struct lunatik_packet *packet, const struct lunatik_layout *layout)
{
	const void *ip = packet->buffer.data + layout->network;
	const struct ipv6hdr *ipv6 = ip;
	const struct iphdr *ipv4 = ip;

	/* Without a length there is more than one could tell of. */
	if (layout->version == 4)
		return ipv4->tot_len ? layout->network + ntohs(ipv4->tot_len) : S32_MAX;
	return ipv6->payload_len ? layout->network + (s32)sizeof(*ipv6) + ntohs(ipv6->payload_len) :
				   S32_MAX;
}

/*
 * Whether the device is to fill in this header's checksum. In a tunnel it is to do so for
 * the innermost header; those outside have their own, or none.
 */
static bool is_for_device(const struct sk_buff *skb, s32 transport)
{
	return skb->ip_summed == CHECKSUM_PARTIAL && skb_checksum_start_offset(skb) == transport;
}

/*
 * Whether who cuts the packet into segments makes this header's checksum anew for each,
 * from the pseudo header's part that is there. Where the device cannot compute any,
 * ip_summed does not tell of it. Fragments in a list have a checksum each, but those
 * around the list have not.
 */
static bool is_for_segments(const struct sk_buff *skb)
{
	return skb_is_gso(skb) && (skb_shinfo(skb)->gso_type &
				   (SKB_GSO_FRAGLIST | SKB_GSO_UDP_TUNNEL_CSUM)) != SKB_GSO_FRAGLIST;
}

/* What is in the header's checksum. */
static enum sum_kind sum_kind(const struct lunatik_packet *packet, s32 transport,
			      const struct transport_sum *found)
{
	const struct sk_buff *skb = packet->skb;

	if (packet->kind != LUNATIK_HOOK_XDP && is_for_device(skb, transport))
		return SUM_PARTIAL;
	if (found->never_zero && !*found->sum)
		return SUM_NONE;
	return packet->kind != LUNATIK_HOOK_XDP && is_for_segments(skb) ? SUM_PARTIAL : SUM_WHOLE;
}

static bool find_transport(const struct lunatik_packet *packet,
			   const struct lunatik_layout *layout, struct transport_sum *found)
{
	s32 off = transport_sum_offset(layout);
	const struct udphdr *udp;

	if (off < 0)
		return false;
	*found = (struct transport_sum){
		.sum		= at(packet, off, sizeof(*found->sum)),
		.pseudo		= layout->transport_protocol != IPPROTO_ICMP,
		.never_zero	= layout->transport_protocol == IPPROTO_UDP,
	};
	if (!found->sum)
		return false;
	found->end = datagram_end(packet, layout);
	if (layout->transport_protocol == IPPROTO_UDP ||
	    layout->transport_protocol == IPPROTO_UDPLITE) {
		udp = at(packet, layout->transport, sizeof(*udp));
		found->part = udp->len;
		if (found->part)
			found->end = min(found->end, layout->transport + (s32)ntohs(udp->len));
	}
	return true;
}

s32 lunatik_checksum_end(struct lunatik_packet *packet, s32 off, u32 n)
{
	const struct lunatik_layout *layout = lunatik_packet_layout(packet);
	s64 end = max((s64)off + n, 0LL), sum;

	if (!layout->version || end <= layout->network)
		return end;
	if (layout->version == 4)
		end = max(end, layout->network + (s64)sizeof(struct iphdr));
	sum = transport_sum_offset(layout) + (s64)sizeof(__sum16);
	return sum <= packet->buffer.len ? max(end, sum) : end;
}

static s32 offset_of(const struct lunatik_packet *packet, const void *ptr)
{
	return (const u8 *)ptr - packet->buffer.data;
}

static void change(__sum16 *sum, __wsum difference)
{
	*sum = csum_fold(csum_add(~csum_unfold(*sum), difference));
}

static void change_transport(const struct transport_sum *transport, enum sum_kind kind,
			     __wsum difference, bool pseudo)
{
	if (kind == SUM_WHOLE) {
		change(transport->sum, difference);
		if (transport->never_zero && !*transport->sum)
			*transport->sum = CSUM_MANGLED_0;
	} else if (kind == SUM_PARTIAL && pseudo) {
		*transport->sum = ~csum_fold(csum_add(csum_unfold(*transport->sum), difference));
	}
}

/* The sum of what a write changes in `part`, whose first byte is an even one of the sum. */
struct write {
	struct span span;
	const u8 *old, *new;
};

static __wsum difference(const struct write *write, struct span part)
{
	struct span changed = both(write->span, part);
	s32 skip = changed.begin - write->span.begin, n = changed.end - changed.begin;
	__wsum sum;

	if (is_empty(changed))
		return 0;
	sum = csum_sub(csum_partial(write->new + skip, n, 0),
		       csum_partial(write->old + skip, n, 0));
	return (changed.begin - part.begin) & 1 ? csum_shift(sum, 1) : sum;
}

static bool covers(const struct lunatik_packet *packet, const struct write *write,
		   const __sum16 *sum)
{
	s32 off = offset_of(packet, sum);

	return !is_empty(both(write->span, (struct span){ off, off + (s32)sizeof(*sum) }));
}

static void fix_ipv4(const struct lunatik_packet *packet, const struct lunatik_layout *layout,
		     const struct write *write)
{
	struct iphdr *ip = at(packet, layout->network, sizeof(*ip));

	if (ip && !covers(packet, write, &ip->check))
		change(&ip->check, difference(write, (struct span){ layout->network,
					      layout->network + 4 * ip->ihl }));
}

static struct span addresses(const struct lunatik_layout *layout)
{
	s32 begin = layout->network;

	if (layout->version == 4)
		return (struct span){ begin + (s32)offsetof(struct iphdr, saddr),
				       begin + (s32)sizeof(struct iphdr) };
	return (struct span){ begin + (s32)offsetof(struct ipv6hdr, saddr),
			       begin + (s32)sizeof(struct ipv6hdr) };
}

/*
 * From where a device is to fill in a checksum inside, the bytes, whatever they are, will
 * sum up to what is in its place now, inverted: the checksum outside has been made so.
 */
static __wsum whole_difference(const struct lunatik_packet *packet, const struct write *write,
			       struct span whole)
{
	const struct sk_buff *skb = packet->skb;
	struct span inner;
	s32 start;

	if (packet->kind == LUNATIK_HOOK_XDP || skb->ip_summed != CHECKSUM_PARTIAL)
		return difference(write, whole);
	start = skb_checksum_start_offset(skb);
	if (start <= whole.begin || start >= whole.end)
		return difference(write, whole);
	whole.end = start;
	inner.begin = start + skb->csum_offset;
	inner.end = inner.begin + (s32)sizeof(__sum16);
	return csum_sub(difference(write, whole), difference(write, inner));
}

static void fix_transport(const struct lunatik_packet *packet,
			  const struct lunatik_layout *layout, const struct write *write)
{
	struct transport_sum transport;
	enum sum_kind kind;
	struct span whole;
	__wsum sum;

	if (!find_transport(packet, layout, &transport) ||
	    covers(packet, write, transport.sum))
		return;
	whole = (struct span){ layout->transport, transport.end };
	sum = transport.pseudo ? difference(write, addresses(layout)) : 0;
	if (!sum && is_empty(both(write->span, whole)))
		return;
	kind = sum_kind(packet, layout->transport, &transport);
	if (sum)
		change_transport(&transport, kind, sum, true);
	if (kind != SUM_WHOLE)
		return;
	sum = whole_difference(packet, write, whole);
	if (sum)
		change_transport(&transport, kind, sum, false);
}

void lunatik_checksum_write(struct lunatik_packet *packet, s32 off, const void *from, u32 n)
{
	/* As it is before the write, which may change what is where. */
	const struct lunatik_layout *layout = lunatik_packet_layout(packet);
	struct write write = {
		.span	= { off, off + (s32)n },
		.old	= packet->buffer.data + off,
		.new	= from,
	};

	if (layout->version) {
		if (layout->version == 4)
			fix_ipv4(packet, layout, &write);
		fix_transport(packet, layout, &write);
	}
	memcpy(packet->buffer.data + off, from, n);
	/* Headers may be others now. */
	packet->layout.known = false;
}

static __wsum word_difference(__be16 old, __be16 new)
{
	return csum_sub((__force __wsum)new, (__force __wsum)old);
}

/* Adds to a length in a header; what that changes the sum over it by. */
static __wsum add(__be16 *length, s32 more)
{
	__be16 old = *length;

	*length = htons(ntohs(old) + more);
	return word_difference(old, *length);
}

/* False, and nothing has changed, if the datagram did not end with the packet. */
static bool resize_network(const struct lunatik_packet *packet,
			   const struct lunatik_layout *layout, s32 more)
{
	s32 old = packet->buffer.len - layout->network - more;
	struct ipv6hdr *ipv6;
	struct iphdr *ip;

	if (layout->version == 4) {
		ip = at(packet, layout->network, sizeof(*ip));
		if (!ip || ntohs(ip->tot_len) != old)
			return false;
		change(&ip->check, add(&ip->tot_len, more));
	} else {
		ipv6 = at(packet, layout->network, sizeof(*ipv6));
		if (!ipv6 || ntohs(ipv6->payload_len) + (s32)sizeof(*ipv6) != old)
			return false;
		add(&ipv6->payload_len, more);
	}
	return true;
}

/* Whether the datagram ends with the packet, as each of its headers tells. */
static bool reaches_end(const struct lunatik_packet *packet, const struct lunatik_layout *layout)
{
	s32 end = packet->buffer.len;
	struct transport_sum transport;

	if (datagram_end(packet, layout) != end)
		return false;
	return layout->transport_protocol != IPPROTO_UDP ||
	       (find_transport(packet, layout, &transport) && transport.end == end);
}

int lunatik_checksum_settle(struct lunatik_packet *packet)
{
	const struct lunatik_layout *layout = lunatik_packet_layout(packet);
	struct sk_buff *skb = packet->skb;
	s32 start;

	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return 0;
	if (layout->version && is_for_device(skb, layout->transport) &&
	    reaches_end(packet, layout))
		return 0;
	/* Who made the packet may have put it anywhere. */
	start = skb_checksum_start_offset(skb);
	if (start < 0 || start + skb->csum_offset + sizeof(__sum16) > packet->buffer.linear)
		return 0;
	return skb_csum_hwoffload_help(skb, 0);
}

void lunatik_checksum_resize(struct lunatik_packet *packet, s32 off, s32 more, __wsum sum)
{
	const struct lunatik_layout *layout = lunatik_packet_layout(packet);
	struct transport_sum transport;
	struct udphdr *udp = NULL;
	enum sum_kind kind;
	__be16 old, new;
	bool found;

	if (!layout->version)
		return;
	/* A fragment's lengths and sums are those of the whole. */
	found = !layout->fragment && find_transport(packet, layout, &transport);
	if (!resize_network(packet, layout, more) || !found)
		return;
	kind = sum_kind(packet, layout->transport, &transport);
	if (layout->transport_protocol == IPPROTO_UDP) {
		/* What comes after the datagram is none of its. */
		if (transport.end != (s32)packet->buffer.len - more)
			return;
		udp = at(packet, layout->transport, sizeof(*udp));
	} else if (transport.part) {
		sum = 0;
	}
	if ((off - layout->transport) & 1)
		sum = csum_shift(sum, 1);
	change_transport(&transport, kind, more < 0 ? csum_sub(0, sum) : sum, false);
	if (udp)
		change_transport(&transport, kind, add(&udp->len, more), false);
	if (transport.pseudo) {
		old = htons(packet->buffer.len - layout->transport - more);
		new = htons(packet->buffer.len - layout->transport);
		change_transport(&transport, kind, word_difference(old, new), true);
	}
}
