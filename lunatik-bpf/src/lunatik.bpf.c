// SPDX-License-Identifier: MIT OR Apache-2.0
/* Hands each packet to a state, whose verdict is the program's. */

#define SEC(name)	__attribute__((section(name), used))

#define XDP_PASS	2
#define TC_ACT_UNSPEC	(-1)

/* Which state. The loader sets all but the magic, by which it knows its own programs. */
const volatile struct {
	char magic[8];
	__s64 arg;
	__u32 state;
	__u32 unused;
} config = { .magic = "lunatik" };

SEC("xdp")
int lunatik_xdp(struct xdp_md *ctx)
{
	int verdict = bpf_lunatik_xdp(ctx, config.state, config.arg);

	return verdict < 0 ? XDP_PASS : verdict;
}

/* Without a verdict of the state's the packet goes to the next filter, if there is one. */
SEC("tc")
int lunatik_tc(struct __sk_buff *ctx)
{
	int verdict = bpf_lunatik_tc(ctx, config.state, config.arg);

	return verdict < 0 ? TC_ACT_UNSPEC : verdict;
}

/* The kernel asks for it: the functions are the module's. */
char _license[] SEC("license") = "GPL";
