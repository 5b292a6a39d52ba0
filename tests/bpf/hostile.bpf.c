// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Programs that do to a packet whatever programs may, at random. They call none of the
 * module's functions, so that kernels without those load them, too.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define LOOPBACK	1

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} xdp_next SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tc_next SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} notes SEC(".maps");

static __u32 below(__u32 n)
{
	return bpf_get_prandom_u32() % n;
}

SEC("xdp")
int xdp_head(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, (int)below(129) - 64);
}

SEC("xdp")
int xdp_tail(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_tail(ctx, (int)below(513) - 256);
}

SEC("xdp")
int xdp_meta(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_meta(ctx, -4 * (int)below(9));
}

SEC("xdp")
int xdp_write(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	data += below(32);
	if (data + 1 > end)
		return XDP_DROP;
	*data = bpf_get_prandom_u32();
	return XDP_PASS;
}

SEC("xdp")
int xdp_away(struct xdp_md *ctx)
{
	return bpf_redirect(LOOPBACK, 0);
}

/* Calls itself as often as it may. */
SEC("xdp")
int xdp_tails(struct xdp_md *ctx)
{
	volatile __u64 stack[60] = {};

	stack[below(32)] = 1;
	bpf_xdp_adjust_head(ctx, stack[0] ? 4 : -4);
	bpf_tail_call(ctx, &xdp_next, 0);
	return XDP_TX;
}

SEC("tc")
int tc_tail(struct __sk_buff *ctx)
{
	return bpf_skb_change_tail(ctx, below(6000), 0);
}

SEC("tc")
int tc_head(struct __sk_buff *ctx)
{
	return bpf_skb_change_head(ctx, below(300), 0);
}

SEC("tc")
int tc_room(struct __sk_buff *ctx)
{
	return bpf_skb_adjust_room(ctx, (int)below(129) - 64, BPF_ADJ_ROOM_MAC, 0);
}

SEC("tc")
int tc_room_net(struct __sk_buff *ctx)
{
	return bpf_skb_adjust_room(ctx, (int)below(129) - 64, BPF_ADJ_ROOM_NET, 0);
}

SEC("tc")
int tc_pull(struct __sk_buff *ctx)
{
	return bpf_skb_pull_data(ctx, below(ctx->len + 100));
}

SEC("tc")
int tc_vlan(struct __sk_buff *ctx)
{
	return below(2) ? bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), below(4096)) :
			  bpf_skb_vlan_pop(ctx);
}

SEC("tc")
int tc_proto(struct __sk_buff *ctx)
{
	return bpf_skb_change_proto(ctx, below(2) ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP), 0);
}

SEC("tc")
int tc_store(struct __sk_buff *ctx)
{
	__u64 value = bpf_get_prandom_u32();

	return bpf_skb_store_bytes(ctx, below(ctx->len + 8), &value, sizeof(value),
				   BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH);
}

/* The kernel gives it bytes of its own before it begins. */
SEC("tc")
int tc_write(struct __sk_buff *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	data += below(32);
	if (data + 1 > end)
		return TC_ACT_SHOT;
	*data = bpf_get_prandom_u32();
	return TC_ACT_OK;
}

/* By the device that the mark says. */
SEC("tc")
int tc_clone(struct __sk_buff *ctx)
{
	return bpf_clone_redirect(ctx, ctx->mark ?: LOOPBACK, below(2) ? BPF_F_INGRESS : 0);
}

SEC("tc")
int tc_away(struct __sk_buff *ctx)
{
	return bpf_redirect(LOOPBACK, below(2) ? BPF_F_INGRESS : 0);
}

SEC("tc")
int tc_tails(struct __sk_buff *ctx)
{
	volatile __u64 stack[60] = {};
	__u32 key = below(64);
	__u64 value = key;

	stack[below(32)] = 1;
	bpf_map_update_elem(&notes, &key, &value, BPF_ANY);
	bpf_skb_change_tail(ctx, ctx->len + (stack[0] ? 1 : 2), 0);
	bpf_tail_call(ctx, &tc_next, 0);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
