// SPDX-License-Identifier: MIT OR Apache-2.0
/* Programs and maps for tests. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <linux/lunatik_bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} asked SEC(".maps");

struct locked {
	struct bpf_spin_lock lock;
	__u32 value;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked);
} locked SEC(".maps");

/* Four bytes more before the packet. */
SEC("xdp")
int longer(struct xdp_md *ctx)
{
	__u8 *data, *end;

	if (bpf_xdp_adjust_head(ctx, -4))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + 4 > end)
		return XDP_ABORTED;
	data[0] = 0xca;
	data[1] = 0xfe;
	data[2] = 0xba;
	data[3] = 0xbe;
	return XDP_PASS;
}

/* Returns what it is told to. */
SEC("xdp")
int verdict(struct xdp_md *ctx)
{
	return bpf_lunatik_arg(0);
}

/* Outside of a script there is no call. */
SEC("xdp")
int lonely(struct xdp_md *ctx)
{
	return bpf_lunatik_arg(0) == 0 && bpf_lunatik_result(1) == -2 /* ENOENT */ ? XDP_TX : XDP_DROP;
}

/* Calls Lua while Lua has called it. */
SEC("xdp")
int again(struct xdp_md *ctx)
{
	bpf_lunatik_result(bpf_lunatik_xdp(ctx, bpf_lunatik_arg(0), 0));
	return XDP_PASS;
}

/* Writes to the packet and makes it longer, for which its bytes have to move. */
SEC("tc")
int rewrite(struct __sk_buff *ctx)
{
	__u8 byte = 0x5a;

	if (bpf_skb_change_tail(ctx, ctx->len + 1000, 0) ||
	    bpf_skb_store_bytes(ctx, 0, &byte, 1, 0))
		return TC_ACT_STOLEN;
	bpf_lunatik_result(ctx->len);
	return TC_ACT_OK;
}

/* Reads by a pointer that it had before it asked the state. */
SEC("tc")
int keep(struct __sk_buff *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u32 first = 0, *id = bpf_map_lookup_elem(&asked, &first);
	__u8 before;

	if (!id || data + 1 > end)
		return TC_ACT_SHOT;
	before = *data;
	if (bpf_lunatik_tc(ctx, *id, 0) != TC_ACT_OK)
		return TC_ACT_SHOT;
	if (*(volatile __u8 *)data != before)
		return TC_ACT_SHOT;
	/* And what is there now. */
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + 1 > end || *data != 0x5a)
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

/* Looks at all it had before it asked the state, at most so much. */
#define LOOK_MAX	256

static __u64 sum;

SEC("xdp")
int watch_xdp(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u32 first = 0, *id = bpf_map_lookup_elem(&asked, &first);
	int verdict, i;

	if (!id)
		return XDP_ABORTED;
	verdict = bpf_lunatik_xdp(ctx, *id, 0);
	for (i = 0; i < LOOK_MAX && data + i + 1 <= (__u8 *)end; i++)
		sum += data[i];
	return verdict;
}

/* Takes packets in several buffers, too. */
SEC("xdp.frags")
int jumbo(struct xdp_md *ctx)
{
	const __u32 first = 0, *id = bpf_map_lookup_elem(&asked, &first);

	return id ? bpf_lunatik_xdp(ctx, *id, 0) : XDP_ABORTED;
}

SEC("tc")
int watch_tc(struct __sk_buff *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u32 first = 0, *id = bpf_map_lookup_elem(&asked, &first);
	int verdict, i;

	if (!id)
		return TC_ACT_SHOT;
	verdict = bpf_lunatik_tc(ctx, *id, 0);
	for (i = 0; i < LOOK_MAX && data + i + 1 <= (__u8 *)end; i++)
		sum += data[i];
	return verdict;
}

char _license[] SEC("license") = "GPL";
