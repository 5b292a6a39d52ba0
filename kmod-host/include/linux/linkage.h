/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_LINKAGE_H
#define HOST_LINUX_LINKAGE_H

#define SYM_FUNC_START(name)	.globl name; .type name, @function; .balign 16; name:
#define SYM_FUNC_END(name)	.size name, . - name

#endif
