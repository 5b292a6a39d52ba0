/* SPDX-License-Identifier: GPL-2.0-only */
/* A program that a script calls: what it is given and what it gives back, by kfuncs. */
#ifndef LUNATIK_BPF_CALL_H
#define LUNATIK_BPF_CALL_H

#include <linux/types.h>
#include <uapi/linux/lunatik_bpf.h>

struct task_struct;

/* A replica's. Scripts call one at a time, for a program's way back to them is closed. */
struct lunatik_bpf_call {
	bool running;
	bool has_result;
	u16 nargs;
	const struct task_struct *task;
	s64 result;
	s64 args[LUNATIK_BPF_ARGS_MAX];
};

#endif
