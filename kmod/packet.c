// SPDX-License-Identifier: GPL-2.0-only
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/ktime.h>
#include <linux/skbuff.h>
#include <net/ip.h>
#include <net/xdp.h>

#include "checksum.h"
#include "keep.h"
#include "lib/lib.h"
#include "lua/args.h"
#include "packet_xdp.h"

/* Bytes that IP can tell of. */
#define PACKET_MAX	65535U

static struct lunatik_packet *packet_of(const struct lunatik_buffer *buffer)
{
	return container_of((struct lunatik_buffer *)buffer, struct lunatik_packet, buffer);
}

static bool read_skb(const struct lunatik_buffer *buffer, s32 off, void *to, u32 n)
{
	return !skb_copy_bits(packet_of(buffer)->skb, off, to, n);
}

/* Whether the bytes up to `end` lie in one piece that is this packet's alone, with `room` behind. */
static bool is_unshared(const struct sk_buff *skb, u32 end, u32 room)
{
	return end <= skb_headlen(skb) && (!skb_cloned(skb) || skb_clone_writable(skb, end)) &&
	       (!room || skb_tailroom(skb) >= room);
}

static int copy(struct sk_buff *skb, u32 end, u32 room)
{
	int err = skb_ensure_writable(skb, end);

	if (!err && skb_tailroom(skb) < room)
		err = pskb_expand_head(skb, 0, room - skb_tailroom(skb), GFP_ATOMIC);
	return err;
}

/*
 * An eBPF program that called us may go on with pointers into the packet as it was:
 * the bytes stay there until it has returned.
 */
static int copy_and_keep(struct lunatik_packet *packet, u32 end, u32 room)
{
	struct sk_buff *skb = packet->skb;
	int err;

	if (packet->moved) {
		err = copy(skb, end, room);
	} else {
		if (!lunatik_keep_prepare())
			return -ENOMEM;
		lunatik_keep_begin(skb);
		err = copy(skb, end, room);
		packet->moved = lunatik_keep_has_moved(skb);
		if (packet->moved)
			lunatik_keep_later(skb);
		else
			lunatik_keep_end();
	}
	bpf_compute_data_pointers(skb);
	return err;
}

/* Makes it so. */
static int unshare(struct lunatik_packet *packet, u32 end, u32 room)
{
	struct sk_buff *skb = packet->skb;
	int err;

	if (skb_shared(skb))
		return -EBUSY;
	if (is_unshared(skb, end, room))
		return 0;
	err = packet->kind == LUNATIK_HOOK_TC ? copy_and_keep(packet, end, room) :
						copy(skb, end, room);
	lunatik_packet_update_skb(packet);
	return err;
}

/* The length is another one, and maybe the place: programs find both in the skb, too. */
static void resized_skb(struct lunatik_packet *packet)
{
	if (packet->kind == LUNATIK_HOOK_TC)
		bpf_compute_data_pointers(packet->skb);
	lunatik_packet_update_skb(packet);
}

static void check_unshared(lua_State *L, int err)
{
	if (err == -EBUSY)
		luaL_error(L, "the packet is shared and cannot be written to here");
	else if (err)
		lunatik_lib_nomem(L);
}

/* What the device found out about the checksum is no longer about these bytes. */
static void forget_checksum(struct sk_buff *skb)
{
	if (skb->ip_summed == CHECKSUM_COMPLETE)
		skb->ip_summed = CHECKSUM_NONE;
}

static void write_skb(struct lunatik_buffer *buffer, lua_State *L, s32 off, const void *from, u32 n)
{
	struct lunatik_packet *packet = packet_of(buffer);

	check_unshared(L, unshare(packet, lunatik_checksum_end(packet, off, n), 0));
	lunatik_checksum_write(packet, off, from, n);
	forget_checksum(packet->skb);
}

const struct lunatik_buffer_ops lunatik_packet_skb_ops = {
	.read	= read_skb,
	.write	= write_skb,
};

/* Calls for each piece of [off, off + n), which is not all in the linear part. */
static bool copy_xdp(const struct xdp_buff *xdp, u32 off, void *to, const void *from, u32 n)
{
	const struct skb_shared_info *info = xdp_get_shared_info_from_buff((struct xdp_buff *)xdp);
	u32 begin = 0, size = xdp->data_end - xdp->data;
	u8 *piece = xdp->data;
	int i = 0;

	for (;;) {
		if (off < begin + size) {
			u32 skip = off - begin, part = min(n, size - skip);

			if (to) {
				memcpy(to, piece + skip, part);
				to += part;
			} else {
				memcpy(piece + skip, from, part);
				from += part;
			}
			off += part;
			n -= part;
		}
		if (!n)
			return true;
		if (!xdp_buff_has_frags((struct xdp_buff *)xdp) || i == info->nr_frags)
			return false;
		begin += size;
		piece = skb_frag_address(&info->frags[i]);
		size = skb_frag_size(&info->frags[i++]);
	}
}

static bool read_xdp(const struct lunatik_buffer *buffer, s32 off, void *to, u32 n)
{
	return copy_xdp(packet_of(buffer)->xdp, off, to, NULL, n);
}

static void write_xdp(struct lunatik_buffer *buffer, lua_State *L, s32 off, const void *from, u32 n)
{
	struct lunatik_packet *packet = packet_of(buffer);

	if (lunatik_checksum_end(packet, off, n) <= (s32)buffer->linear)
		lunatik_checksum_write(packet, off, from, n);
	else
		luaL_error(L, "bytes beyond the packet's first %d cannot be written to",
			   buffer->linear);
}

const struct lunatik_buffer_ops lunatik_packet_xdp_ops = {
	.read	= read_xdp,
	.write	= write_xdp,
};

static struct lunatik_packet *check(lua_State *L)
{
	struct lunatik_packet *packet;

	if (!lua_islightuserdata(L, 1))
		luaL_typeerror(L, 1, "packet");
	packet = lunatik_packet_in_hand(L, lua_touserdata(L, 1));
	if (!packet)
		luaL_error(L, "packet used outside its callback");
	return packet;
}

static struct sk_buff *check_skb(lua_State *L, const char *what)
{
	struct lunatik_packet *packet = check(L);

	if (packet->kind == LUNATIK_HOOK_XDP)
		luaL_error(L, "XDP's packets have no %s", what);
	return packet->skb;
}

static int push_name(lua_State *L, const struct net_device *device)
{
	if (device)
		lua_pushstring(L, device->name);
	else
		lua_pushnil(L);
	return 1;
}

static int packet_indev(lua_State *L)
{
	return push_name(L, check(L)->in);
}

static int packet_outdev(lua_State *L)
{
	return push_name(L, check(L)->out);
}

static int push_offset(lua_State *L, s32 offset)
{
	if (offset >= 0)
		lunatik_push_integer(L, offset);
	else
		lua_pushnil(L);
	return 1;
}

static int packet_mac_offset(lua_State *L)
{
	struct lunatik_packet *packet = check(L);

	if (packet->kind != LUNATIK_HOOK_NETFILTER)
		return push_offset(L, 0);
	if (!packet->buffer.low)
		return push_offset(L, -1);
	lunatik_push_integer(L, packet->buffer.low);
	return 1;
}

static int packet_network_offset(lua_State *L)
{
	return push_offset(L, lunatik_packet_layout(check(L))->network);
}

/* With the protocol, as IP has it, of the header that is there. */
static int packet_transport_offset(lua_State *L)
{
	const struct lunatik_layout *layout = lunatik_packet_layout(check(L));

	push_offset(L, layout->transport);
	if (layout->transport < 0)
		return 1;
	lunatik_push_integer(L, layout->transport_protocol);
	return 2;
}

static int packet_protocol(lua_State *L)
{
	lunatik_push_integer(L, lunatik_packet_layout(check(L))->protocol);
	return 1;
}

static int packet_mark(lua_State *L)
{
	struct sk_buff *skb = check_skb(L, "mark");
	lua_Integer mark;

	if (lua_isnone(L, 2)) {
		lunatik_push_integer(L, skb->mark);
		return 1;
	}
	mark = luaL_checkinteger(L, 2);
	luaL_argcheck(L, mark >= 0 && mark <= U32_MAX, 2, "a mark has 32 bits");
	skb->mark = mark;
	return 0;
}

static int packet_hash(lua_State *L)
{
	lunatik_push_integer(L, skb_get_hash(check_skb(L, "hash")));
	return 1;
}

static int push_time(lua_State *L, ktime_t time)
{
	if (time)
		lunatik_push_integer(L, ktime_to_ns(time));
	else
		lua_pushnil(L);
	return 1;
}

static int packet_time(lua_State *L)
{
	return push_time(L, skb_tstamp(check_skb(L, "time stamp")));
}

static int packet_hwtime(lua_State *L)
{
	return push_time(L, skb_hwtstamps(check_skb(L, "hardware time stamp"))->hwtstamp);
}

/* Bytes of payload in each of those that the packet will be cut into; nil if it is one. */
static int packet_gso_size(lua_State *L)
{
	struct lunatik_packet *packet = check(L);

	if (packet->kind != LUNATIK_HOOK_XDP && skb_is_gso(packet->skb))
		lunatik_push_integer(L, skb_shinfo(packet->skb)->gso_size);
	else
		lua_pushnil(L);
	return 1;
}

/* The number that an eBPF program passed with the packet. */
static int packet_arg(lua_State *L)
{
	lunatik_push_integer(L, check(L)->arg);
	return 1;
}

static void refuse_gso(lua_State *L, const struct sk_buff *skb)
{
	if (skb_is_gso(skb))
		luaL_error(L, "a packet that is yet to be segmented keeps its length");
}

/*
 * What the kernel has found to be there it does not look for again: the headers in
 * front of what they carry, and the checksum that a device is to fill in.
 */
static u32 least_length(const struct sk_buff *skb)
{
	s32 least = max(skb_network_offset(skb), 0);

	if (skb_transport_header_was_set(skb))
		least = max(least, skb_transport_offset(skb));
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		least = max(least, skb_checksum_start_offset(skb) + skb->csum_offset +
				   (s32)sizeof(__sum16));
	return least;
}

/* Finds the headers, too, as long as the lengths in them are those of the packet. */
static void settle(lua_State *L, struct lunatik_packet *packet)
{
	lunatik_packet_layout(packet);
	if (lunatik_checksum_settle(packet))
		lunatik_lib_nomem(L);
}

/* All in one piece, so that what is cut off can be summed up, and lengths be written. */
static void trim_skb(lua_State *L, struct lunatik_packet *packet, u32 len)
{
	struct sk_buff *skb = packet->skb;
	u32 cut = skb->len - len;
	__wsum sum;

	refuse_gso(L, skb);
	if (len < least_length(skb))
		luaL_error(L, "trim to %I bytes, of which the headers are %I", (lua_Integer)len,
			   (lua_Integer)least_length(skb));
	check_unshared(L, unshare(packet, skb->len, 0));
	settle(L, packet);
	sum = skb_checksum(skb, len, cut, 0);
	/* The checksum is ours to care for. */
	if (pskb_trim(skb, len))
		lunatik_lib_nomem(L);
	resized_skb(packet);
	forget_checksum(skb);
	lunatik_checksum_resize(packet, len, -(s32)cut, sum);
}

static void trim_xdp(lua_State *L, struct lunatik_packet *packet, u32 len)
{
	struct xdp_buff *xdp = packet->xdp;
	u32 cut = packet->buffer.len - len;
	__wsum sum;

	if (xdp_buff_has_frags(xdp))
		luaL_error(L, "a packet in several buffers keeps its length");
	luaL_argcheck(L, len >= ETH_HLEN, 2, "shorter than an Ethernet header");
	lunatik_packet_layout(packet);
	sum = csum_partial(xdp->data + len, cut, 0);
	xdp->data_end -= cut;
	packet->buffer.linear = packet->buffer.len = len;
	lunatik_checksum_resize(packet, len, -(s32)cut, sum);
}

static int packet_trim(lua_State *L)
{
	struct lunatik_packet *packet = check(L);
	lua_Integer len = luaL_checkinteger(L, 2);

	if (len < 0 || len > packet->buffer.len)
		return luaL_error(L, "trim to %I bytes, length %I", len,
				  (lua_Integer)packet->buffer.len);
	if (packet->kind == LUNATIK_HOOK_XDP)
		trim_xdp(L, packet, len);
	else
		trim_skb(L, packet, len);
	packet->layout.known = false;
	return 0;
}

static void append_skb(lua_State *L, struct lunatik_packet *packet, const char *bytes, u32 n)
{
	struct sk_buff *skb = packet->skb;

	refuse_gso(L, skb);
	check_unshared(L, unshare(packet, skb->len, n));
	settle(L, packet);
	skb_put_data(skb, bytes, n);
	resized_skb(packet);
	forget_checksum(skb);
}

static void append_xdp(lua_State *L, struct lunatik_packet *packet, const char *bytes, u32 n)
{
	struct xdp_buff *xdp = packet->xdp;

	if (xdp_buff_has_frags(xdp))
		luaL_error(L, "a packet in several buffers keeps its length");
	if (xdp_data_hard_end(xdp) - xdp->data_end < n)
		luaL_error(L, "the packet has no room for %d bytes more", n);
	lunatik_packet_layout(packet);
	memcpy(xdp->data_end, bytes, n);
	xdp->data_end += n;
	packet->buffer.len += n;
	packet->buffer.linear += n;
}

static int packet_append(lua_State *L)
{
	struct lunatik_packet *packet = check(L);
	u32 end = packet->buffer.len;
	size_t n;
	const char *bytes = luaL_checklstring(L, 2, &n);

	luaL_argcheck(L, n <= PACKET_MAX && end + n <= IP_MAX_MTU, 2,
		      "the packet would exceed 65535 bytes");
	if (packet->kind == LUNATIK_HOOK_XDP)
		append_xdp(L, packet, bytes, n);
	else
		append_skb(L, packet, bytes, n);
	lunatik_checksum_resize(packet, end, n, csum_partial(bytes, n, 0));
	packet->layout.known = false;
	return 0;
}

static const luaL_Reg methods[] = {
	{ "indev",		packet_indev },
	{ "outdev",		packet_outdev },
	{ "mac_offset",		packet_mac_offset },
	{ "network_offset",	packet_network_offset },
	{ "transport_offset",	packet_transport_offset },
	{ "protocol",		packet_protocol },
	{ "mark",		packet_mark },
	{ "hash",		packet_hash },
	{ "time",		packet_time },
	{ "hwtime",		packet_hwtime },
	{ "gso_size",		packet_gso_size },
	{ "arg",		packet_arg },
	{ "trim",		packet_trim },
	{ "append",		packet_append },
	{ NULL,			NULL },
};

void lunatik_packet_open(lua_State *L)
{
	lua_pushlightuserdata(L, NULL);
	lunatik_buffer_push_metatable(L, "packet", methods);
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}
