/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_NET_XDP_H
#define HOST_NET_XDP_H

#include <linux/kernel.h>

#endif
