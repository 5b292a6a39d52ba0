// SPDX-License-Identifier: GPL-2.0-only
/* Where a packet's headers are. */
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/xdp.h>

#include "packet.h"

/* VLAN tags and extension headers that are looked behind. */
#define TAGS_MAX	2
#define EXTENSIONS_MAX	8

static bool get(const struct lunatik_packet *packet, s32 off, void *to, u32 n)
{
	const struct lunatik_buffer *buffer = &packet->buffer;

	if (off < buffer->low || off + (s64)n > buffer->len)
		return false;
	if (off + (s64)n > buffer->linear)
		return buffer->ops->read(buffer, off, to, n);
	memcpy(to, buffer->data + off, n);
	return true;
}

static void find_ipv4(const struct lunatik_packet *packet, struct lunatik_layout *layout)
{
	struct iphdr ip;

	if (!get(packet, layout->network, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return;
	layout->version = 4;
	layout->fragment = ip_is_fragment(&ip);
	if (ip.frag_off & htons(IP_OFFSET))
		return;
	layout->transport = layout->network + 4 * ip.ihl;
	layout->transport_protocol = ip.protocol;
}

static void find_ipv6(const struct lunatik_packet *packet, struct lunatik_layout *layout)
{
	struct ipv6hdr ip;
	s32 at = layout->network + (s32)sizeof(ip);
	struct frag_hdr fragment;
	u8 next, head[2];
	int i;

	if (!get(packet, layout->network, &ip, sizeof(ip)) || ip.version != 6)
		return;
	layout->version = 6;
	next = ip.nexthdr;
	for (i = 0; ipv6_ext_hdr(next) && next != NEXTHDR_NONE; i++) {
		if (i == EXTENSIONS_MAX || !get(packet, at, head, sizeof(head)))
			return;
		if (next == NEXTHDR_FRAGMENT) {
			if (!get(packet, at, &fragment, sizeof(fragment)))
				return;
			layout->fragment = true;
			if (fragment.frag_off & htons(IP6_OFFSET))
				return;
			at += sizeof(fragment);
		} else if (next == NEXTHDR_AUTH) {
			at += 4 * (head[1] + 2);
		} else {
			at += 8 * (head[1] + 1);
		}
		next = head[0];
	}
	layout->transport = at;
	layout->transport_protocol = next;
}

static void find_ethernet(const struct lunatik_packet *packet, struct lunatik_layout *layout)
{
	s32 at = offsetof(struct ethhdr, h_proto);
	__be16 type;
	int i;

	for (i = 0; get(packet, at, &type, sizeof(type)); i++) {
		layout->protocol = ntohs(type);
		at += sizeof(type);
		if (!eth_type_vlan(type) || i == TAGS_MAX) {
			layout->network = at;
			return;
		}
		at += 2;	/* the tag */
	}
}

static void find_network(const struct lunatik_packet *packet, struct lunatik_layout *layout)
{
	if (packet->kind == LUNATIK_HOOK_XDP) {
		find_ethernet(packet, layout);
		return;
	}
	layout->protocol = ntohs(packet->skb->protocol);
	layout->network = skb_network_offset(packet->skb);
}

const struct lunatik_layout *lunatik_packet_layout(struct lunatik_packet *packet)
{
	struct lunatik_layout *layout = &packet->layout;

	if (layout->known)
		return layout;
	*layout = (struct lunatik_layout){ .known = true, .network = -1, .transport = -1 };
	find_network(packet, layout);
	if (layout->network < 0)
		return layout;
	if (layout->protocol == ETH_P_IP)
		find_ipv4(packet, layout);
	else if (layout->protocol == ETH_P_IPV6)
		find_ipv6(packet, layout);
	return layout;
}
