// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * An XDP program of your own that asks a state about some packets only: of IPv4.
 * Which state stands in a map, so that it may be changed while the program runs.
 *
 *   clang -g -O2 -target bpf -I kmod/include/uapi -I /usr/include/x86_64-linux-gnu \
 *         -c examples/bpf/ask.bpf.c -o ask.bpf.o
 *   bpftool prog load ask.bpf.o /sys/fs/bpf/ask pinmaps /sys/fs/bpf
 *   bpftool map update pinned /sys/fs/bpf/state key 0 0 0 0 value 1 0 0 0   # its id
 *   bpftool net attach xdp pinned /sys/fs/bpf/ask dev eth0
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/lunatik_bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} state SEC(".maps");

SEC("xdp")
int ask(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct ethhdr *eth = data;
	const __u32 first = 0, *id;
	int verdict;

	if (data + sizeof(*eth) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	id = bpf_map_lookup_elem(&state, &first);
	if (!id || !*id)
		return XDP_PASS;
	verdict = bpf_lunatik_xdp(ctx, *id, 0);
	/* What to do without an answer is this program's to say. */
	return verdict < 0 ? XDP_PASS : verdict;
}

char _license[] SEC("license") = "GPL";
