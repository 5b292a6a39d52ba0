/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kfuncs that eBPF programs call; uapi/linux/lunatik_bpf.h describes them to
 * their authors.
 */
#ifndef LUNATIK_BPF_H
#define LUNATIK_BPF_H

/*
 * Makes the kfuncs known. They stay so until the module goes, which loaded programs
 * that call them prevent. 0, too, where the module or the kernel has no BTF, and
 * nobody can call them.
 */
int lunatik_bpf_init(void);

#endif
