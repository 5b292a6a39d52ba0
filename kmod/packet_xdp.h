/* SPDX-License-Identifier: GPL-2.0-only */
/* What packet.h has for skbs, for XDP buffers. */
#ifndef LUNATIK_PACKET_XDP_H
#define LUNATIK_PACKET_XDP_H

#include <net/xdp.h>

#include "packet.h"

static __always_inline void lunatik_packet_update_xdp(struct lunatik_packet *packet)
{
	struct xdp_buff *xdp = packet->xdp;

	packet->buffer.data = xdp->data;
	packet->buffer.linear = xdp->data_end - xdp->data;
	packet->buffer.len = xdp_get_buff_len(xdp);
	packet->layout.known = false;
}

static __always_inline void lunatik_packet_init_xdp(struct lunatik_packet *packet,
						    struct xdp_buff *xdp)
{
	packet->kind = LUNATIK_HOOK_XDP;
	packet->xdp = xdp;
	packet->in = xdp->rxq->dev;
	packet->out = NULL;
	packet->arg = 0;
	packet->buffer.ops = &lunatik_packet_xdp_ops;
	packet->buffer.low = 0;
	lunatik_packet_update_xdp(packet);
}

#endif
