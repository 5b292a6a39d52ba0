/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kfuncs that eBPF programs call; uapi/linux/lunatik_bpf.h describes them to
 * their authors.
 */
#ifndef LUNATIK_BPF_H
#define LUNATIK_BPF_H

#include <linux/types.h>
#include <uapi/linux/lunatik_bpf.h>

struct task_struct;

/* A program that a script calls: what it is given and what it gives back. */
struct lunatik_bpf_call {
	struct lunatik_bpf_call *outer;
	const struct task_struct *task;
	u32 nargs;
	bool has_result;
	s64 result;
	s64 args[LUNATIK_BPF_ARGS_MAX];
};

/*
 * Around the run of the program, with bottom halves off: its kfuncs find the call.
 * Calls nest. task and outer are theirs, the rest is the caller's.
 */
void lunatik_bpf_call_begin(struct lunatik_bpf_call *call);
void lunatik_bpf_call_end(const struct lunatik_bpf_call *call);

/*
 * Makes the kfuncs known. They stay so until the module goes, which loaded programs
 * that call them prevent. 0, too, where the module or the kernel has no BTF, and
 * nobody can call them.
 */
int lunatik_bpf_init(void);

#endif
