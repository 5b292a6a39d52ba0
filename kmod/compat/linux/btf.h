/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_COMPAT_BTF_H
#define LUNATIK_COMPAT_BTF_H

#include_next <linux/btf.h>

#ifndef __bpf_kfunc
/* Kept where nobody calls it, and with a frame of its own. */
#define __bpf_kfunc	__used noinline
#endif

#ifndef __bpf_kfunc_start_defs
/* Nobody declares them: who calls them knows them from the module's BTF. */
#define __bpf_kfunc_start_defs()					\
	__diag_push();							\
	__diag_ignore_all("-Wmissing-declarations",			\
			  "Global kfuncs as their definitions will be in BTF");	\
	__diag_ignore_all("-Wmissing-prototypes",			\
			  "Global kfuncs as their definitions will be in BTF")
#define __bpf_kfunc_end_defs()	__diag_pop()
#endif

#endif
