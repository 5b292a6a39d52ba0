/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_OBJTOOL_H
#define HOST_LINUX_OBJTOOL_H

.macro STACK_FRAME_NON_STANDARD function
.endm

#endif
