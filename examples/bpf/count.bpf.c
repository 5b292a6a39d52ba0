// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Programs that a script calls, as
 *
 *   local bpf = require "bpf"
 *   local count = bpf.prog "/sys/fs/bpf/count"
 *   require "xdp".register(function(pkt)
 *     local verdict, n = count(pkt, pkt:u32(26), 100)   -- the source of IPv4
 *     return verdict
 *   end)
 *
 * They count packets by the first argument, give the script the count as their
 * result, and drop what exceeds the second. The counts are in a map that the script
 * may read, too: bpf.map("/sys/fs/bpf/counts", "=I8", "=I8").
 *
 *   bpftool prog loadall count.bpf.o /sys/fs/bpf pinmaps /sys/fs/bpf
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <linux/lunatik_bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline int too_many(void)
{
	__u64 key = bpf_lunatik_arg(0), one = 1, *count;
	__s64 limit = bpf_lunatik_arg(1);

	count = bpf_map_lookup_elem(&counts, &key);
	if (!count) {
		bpf_map_update_elem(&counts, &key, &one, BPF_NOEXIST);
		count = &one;
	} else {
		__sync_fetch_and_add(count, 1);
	}
	bpf_lunatik_result(*count);
	return *count > limit;
}

SEC("xdp")
int count(struct xdp_md *ctx)
{
	return too_many() ? XDP_DROP : XDP_PASS;
}

SEC("tc")
int count_tc(struct __sk_buff *ctx)
{
	return too_many() ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "GPL";
