/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_INTERRUPT_H
#define HOST_LINUX_INTERRUPT_H

/* There are none. */
struct tasklet_struct {
	int unused;
};

#endif
