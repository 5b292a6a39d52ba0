/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_COMPAT_BTF_IDS_H
#define LUNATIK_COMPAT_BTF_IDS_H

#include_next <linux/btf_ids.h>

#ifndef BTF_KFUNCS_START
/* A set of kfuncs was like any other. */
#define BTF_KFUNCS_START(name)	BTF_SET8_START(name)
#define BTF_KFUNCS_END(name)	BTF_SET8_END(name)
#endif

#endif
