/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_ASM_NOSPEC_BRANCH_H
#define HOST_ASM_NOSPEC_BRANCH_H

#define RET	ret

#endif
