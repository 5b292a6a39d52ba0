// SPDX-License-Identifier: MIT OR Apache-2.0
/* What states are measured against, and what they call. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Programs of one type only can be in an array. */
#define CHAIN(name)				\
	struct {				\
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY);	\
		__uint(max_entries, 1);		\
		__type(key, __u32);		\
		__type(value, __u32);		\
	} name SEC(".maps")

CHAIN(chain_xdp);
CHAIN(chain_tc);

SEC("xdp")
int pass_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tc")
int pass_tc(struct __sk_buff *ctx)
{
	return TC_ACT_OK;
}

/* Drops what goes to port 53, if it is a datagram behind 34 bytes of headers. */
SEC("xdp")
int port_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct udphdr *udp = data + sizeof(struct ethhdr) + sizeof(struct iphdr);

	if ((void *)(udp + 1) > end)
		return XDP_PASS;
	return udp->dest == bpf_htons(53) ? XDP_DROP : XDP_PASS;
}

/* Goes on with what is in the array, which is itself, as often as the kernel lets it. */
SEC("xdp")
int hop_xdp(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &chain_xdp, 0);
	return XDP_PASS;
}

SEC("tc")
int hop_tc(struct __sk_buff *ctx)
{
	bpf_tail_call(ctx, &chain_tc, 0);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
