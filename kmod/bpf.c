// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/filter.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <net/pkt_cls.h>
#include <net/sch_generic.h>
#include <net/xdp.h>

#include "bpf.h"
#include "hook.h"
#include "netns.h"
#include "packet_xdp.h"
#include "replica.h"

/* That of the script that runs on this CPU. */
static struct lunatik_bpf_call *this_call(void)
{
	const struct lunatik_deadline *deadline = this_cpu_read(lunatik_watch.deadline);
	struct lunatik_bpf_call *call;

	if (!deadline)
		return NULL;
	call = &container_of(deadline, struct lunatik_replica, deadline)->call;
	if (!call->running || (IS_ENABLED(CONFIG_PREEMPT_RT) && call->task != current))
		return NULL;
	return call;
}

__bpf_kfunc_start_defs();

__bpf_kfunc int bpf_lunatik_xdp(struct xdp_md *ctx, u32 state, u64 arg)
{
	struct xdp_buff *xdp = (struct xdp_buff *)ctx;
	struct lunatik_net *lnet = lunatik_net(dev_net(xdp->rxq->dev));
	struct lunatik_packet packet LUNATIK_UNINITIALIZED;

	lunatik_packet_init_xdp(&packet, xdp);
	packet.arg = arg;
	return lunatik_hook_run_by_id(lnet, state, LUNATIK_HOOK_XDP, &packet);
}

__bpf_kfunc int bpf_lunatik_tc(struct __sk_buff *ctx, u32 state, u64 arg)
{
	struct sk_buff *skb = (struct sk_buff *)ctx;
	struct lunatik_net *lnet = lunatik_net(dev_net(skb->dev));
	bool ingress = skb_at_tc_ingress(skb);
	struct lunatik_packet packet LUNATIK_UNINITIALIZED;

	lunatik_packet_init_skb(&packet, LUNATIK_HOOK_TC, skb, ingress ? skb->dev : NULL,
				ingress ? NULL : skb->dev);
	packet.arg = arg;
	packet.moved = false;
	return lunatik_hook_run_by_id(lnet, state, LUNATIK_HOOK_TC, &packet);
}

__bpf_kfunc s64 bpf_lunatik_arg(u32 n)
{
	const struct lunatik_bpf_call *call = this_call();

	if (!call || n >= call->nargs)
		return 0;
	return call->args[array_index_nospec(n, call->nargs)];
}

__bpf_kfunc int bpf_lunatik_result(s64 value)
{
	struct lunatik_bpf_call *call = this_call();

	if (!call)
		return -ENOENT;
	call->result = value;
	call->has_result = true;
	return 0;
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(xdp_ids)
BTF_ID_FLAGS(func, bpf_lunatik_xdp)
BTF_ID_FLAGS(func, bpf_lunatik_arg)
BTF_ID_FLAGS(func, bpf_lunatik_result)
BTF_KFUNCS_END(xdp_ids)

BTF_KFUNCS_START(tc_ids)
BTF_ID_FLAGS(func, bpf_lunatik_tc)
BTF_ID_FLAGS(func, bpf_lunatik_arg)
BTF_ID_FLAGS(func, bpf_lunatik_result)
BTF_KFUNCS_END(tc_ids)

static const struct btf_kfunc_id_set xdp_set = {
	.owner	= THIS_MODULE,
	.set	= &xdp_ids,
};

static const struct btf_kfunc_id_set tc_set = {
	.owner	= THIS_MODULE,
	.set	= &tc_ids,
};

int __init lunatik_bpf_init(void)
{
	int err;

	err = register_btf_kfunc_id_set(BPF_PROG_TYPE_XDP, &xdp_set);
	if (!err)
		err = register_btf_kfunc_id_set(BPF_PROG_TYPE_SCHED_CLS, &tc_set);
	/* Older kernels take a module without BTF for a failure. */
	return err == -ENOENT ? 0 : err;
}
