// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Programs on TC that ask a state about packets of UDP and TCP to port 4000, and clone
 * them or send them elsewhere.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/lunatik_bpf.h>

#define PORT	4000

/* The state, where to, and what came of it. */
enum { STATE, DEVICE, ASKED, MOVED, SEEN, LENGTH };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LENGTH);
	__type(key, __u32);
	__type(value, __u32);
} config SEC(".maps");

static __always_inline __u32 get(__u32 key)
{
	const __u32 *value = bpf_map_lookup_elem(&config, &key);

	return value ? *value : 0;
}

static __always_inline void count(__u32 key)
{
	__u32 *value = bpf_map_lookup_elem(&config, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* Whether it is one of those. By copies: a pointer would make the kernel unshare it. */
static __always_inline int is_ours(struct __sk_buff *ctx)
{
	__be16 port;
	__u8 protocol;

	if (ctx->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes(ctx, ETH_HLEN + 9, &protocol, sizeof(protocol)) ||
	    (protocol != IPPROTO_UDP && protocol != IPPROTO_TCP) ||
	    bpf_skb_load_bytes(ctx, ETH_HLEN + sizeof(struct iphdr) + 2, &port, sizeof(port)))
		return 0;
	return port == bpf_htons(PORT);
}

static __always_inline int ask(struct __sk_buff *ctx)
{
	int verdict = bpf_lunatik_tc(ctx, get(STATE), 0);

	count(ASKED);
	return verdict < 0 ? TC_ACT_SHOT : verdict;
}

SEC("tc")
int clone(struct __sk_buff *ctx)
{
	if (is_ours(ctx) && bpf_clone_redirect(ctx, get(DEVICE), 0))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

SEC("tc")
int clone_ask(struct __sk_buff *ctx)
{
	if (!is_ours(ctx))
		return TC_ACT_OK;
	if (bpf_clone_redirect(ctx, get(DEVICE), 0))
		return TC_ACT_SHOT;
	return ask(ctx);
}

SEC("tc")
int ask_clone(struct __sk_buff *ctx)
{
	int verdict;

	if (!is_ours(ctx))
		return TC_ACT_OK;
	verdict = ask(ctx);
	if (bpf_clone_redirect(ctx, get(DEVICE), 0))
		return TC_ACT_SHOT;
	return verdict;
}

/* The state's verdict says whether it goes there. */
SEC("tc")
int ask_redirect(struct __sk_buff *ctx)
{
	int verdict;

	if (!is_ours(ctx))
		return TC_ACT_OK;
	verdict = ask(ctx);
	return verdict == TC_ACT_REDIRECT ? bpf_redirect(get(DEVICE), 0) : verdict;
}

/* Where it is to go is said beforehand. */
SEC("tc")
int redirect_ask(struct __sk_buff *ctx)
{
	if (!is_ours(ctx))
		return TC_ACT_OK;
	bpf_redirect(get(DEVICE), 0);
	return ask(ctx);
}

/* Looks at where the packet was: who asks may have a pointer to it. */
SEC("tc")
int stay(struct __sk_buff *ctx)
{
	const __u8 *before = (void *)(long)ctx->data;
	int verdict;

	if (!is_ours(ctx) || before + ETH_HLEN + 2 > (const __u8 *)(long)ctx->data_end)
		return TC_ACT_OK;
	verdict = ask(ctx);
	if ((const __u8 *)(long)ctx->data != before)
		count(MOVED);
	/* The type of service, as the script writes it */
	if (before[ETH_HLEN + 1] == 0x20)
		count(SEEN);
	return verdict;
}

char _license[] SEC("license") = "GPL";
