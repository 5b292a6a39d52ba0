/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * The functions of the lunatik module that eBPF programs call (kfuncs).
 *
 * Include linux/bpf.h or vmlinux.h first. A program that calls them is licensed
 * "GPL", is loaded with CAP_BPF and CAP_NET_ADMIN, and keeps the module from being
 * unloaded. They are there when /sys/kernel/btf/lunatik is.
 */
#ifndef _UAPI_LINUX_LUNATIK_BPF_H
#define _UAPI_LINUX_LUNATIK_BPF_H

/* Most integers that a script gives to a program. */
#define LUNATIK_BPF_ARGS_MAX	8

#ifdef __bpf__

#ifndef __ksym
#define __ksym	__attribute__((section(".ksyms")))
#endif

/*
 * Run what a state's script registered for XDP or TC on the packet. The state is
 * that with the id `state` (`lunatikctl show` tells it) in the network namespace
 * of the device that the packet is on; arg goes to the script.
 *
 * They return the verdict, an XDP_ or TC_ACT_ value, or a negative errno, after
 * which the program decides by itself:
 *   -ENOENT	there is no such state, or it has no function for such packets
 *   -EBUSY	it cannot run now: a script that runs on this CPU called the program, or
 *		sent the packet; one that may take its time runs in the state, as that
 *		which makes its first hooks; another CPU has not been done with the state
 *		for twice its time limit; or the hooks of the namespace have used up
 *		their share of this CPU
 *   -EREMOTEIO, -ETIME, -ENOMEM and others that DOSTRING has: the function failed
 *
 * The script may have changed the packet, so a program reads ctx->data and
 * ctx->data_end anew. Pointers from before may still be used, and may show the packet
 * as it was.
 */
extern int bpf_lunatik_xdp(struct xdp_md *ctx, __u32 state, __u64 arg) __ksym;
extern int bpf_lunatik_tc(struct __sk_buff *ctx, __u32 state, __u64 arg) __ksym;

/*
 * For a program that a script calls, as `prog(pkt, ...)`: the integer after pkt that
 * has the index n, from 0. 0 when there is none, or no script called.
 */
extern __s64 bpf_lunatik_arg(__u32 n) __ksym;

/*
 * Sets what that call returns behind the verdict. -ENOENT when no script called.
 */
extern int bpf_lunatik_result(__s64 value) __ksym;

#endif /* __bpf__ */

#endif /* _UAPI_LINUX_LUNATIK_BPF_H */
