/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet in hand: what a hook's function gets. To scripts it is a light
 * userdata, which costs nothing to make and tells one packet from another: it is
 * valid only while the replica's callback for that packet runs.
 */
#ifndef LUNATIK_PACKET_H
#define LUNATIK_PACKET_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <uapi/linux/lunatik.h>

#include "lib/buffer.h"
#include "replica.h"

struct xdp_buff;

/* No link header is longer: an Ethernet header with its tags, or InfiniBand's. */
#define LUNATIK_LINK_HEADER_MAX	64

/* Where the headers are. Offsets are scripts'; -1 if there is none. */
struct lunatik_layout {
	bool known;
	u8 version;		/* of IP: 4, 6 or 0 */
	u8 transport_protocol;	/* IPPROTO_* of the header at `transport` */
	bool fragment;		/* a part of a datagram */
	u16 protocol;		/* ETH_P_* */
	s32 network;
	s32 transport;
};

/* It is initialised by hand, for each packet: what a kernel clears beforehand is cleared in vain. */
#define LUNATIK_UNINITIALIZED	__attribute__((uninitialized))

struct lunatik_packet {
	struct lunatik_buffer buffer;	/* first: scripts' methods get that */
	u32 kind;			/* enum lunatik_hook_kind */
	union {
		struct sk_buff *skb;
		struct xdp_buff *xdp;
	};
	const struct net_device *in;	/* or NULL, as out */
	const struct net_device *out;
	u64 arg;			/* of who called, for XDP and TC */
	bool moved;			/* TC: its bytes are not where they were for who called */
	struct lunatik_layout layout;	/* once it is asked for */
};

extern const struct lunatik_buffer_ops lunatik_packet_skb_ops;
extern const struct lunatik_buffer_ops lunatik_packet_xdp_ops;

/* Takes the bytes' place from the skb, which may have moved. */
static __always_inline void lunatik_packet_update_skb(struct lunatik_packet *packet)
{
	const struct sk_buff *skb = packet->skb;
	u32 linear = skb_headlen(skb), len = skb->len;

	packet->buffer.data = skb->data;
	packet->buffer.linear = linear;
	packet->buffer.len = len;
}

/* Of the link header before the data, 0 if there is none. */
static __always_inline s32 lunatik_packet_mac_offset(const struct sk_buff *skb)
{
	s32 offset = skb_mac_header_was_set(skb) ? skb_mac_offset(skb) : 0;

	return offset <= 0 && offset >= -LUNATIK_LINK_HEADER_MAX ? offset : 0;
}

static __always_inline void lunatik_packet_init_skb(struct lunatik_packet *packet, u32 kind,
						    struct sk_buff *skb,
						    const struct net_device *in,
						    const struct net_device *out)
{
	packet->skb = skb;
	packet->kind = kind;
	packet->in = in;
	packet->out = out;
	packet->arg = 0;
	packet->layout.known = false;
	packet->buffer.ops = &lunatik_packet_skb_ops;
	packet->buffer.low = lunatik_packet_mac_offset(skb);
	lunatik_packet_update_skb(packet);
}

/* Where the headers are. Raises nothing. */
const struct lunatik_layout *lunatik_packet_layout(struct lunatik_packet *packet);

/* Whether a light userdata stands for the packet in hand, replica->packet. */
static __always_inline bool lunatik_packet_is(const struct lunatik_replica *replica,
					      const void *token)
{
	return likely((unsigned long)token == (unsigned long)replica->token);
}

/* The packet that a light userdata stands for, or NULL if it is gone. */
static __always_inline struct lunatik_packet *lunatik_packet_in_hand(const lua_State *L,
								     const void *token)
{
	const struct lunatik_replica *replica = lunatik_replica_of(L);

	return lunatik_packet_is(replica, token) ? replica->packet : NULL;
}

/* Gives light userdata the methods of packets. Raises memory errors. */
void lunatik_packet_open(lua_State *L);

#endif
