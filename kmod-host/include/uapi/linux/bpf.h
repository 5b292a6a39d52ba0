/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_UAPI_LINUX_BPF_H
#define HOST_UAPI_LINUX_BPF_H

enum {
	XDP_ABORTED,
	XDP_DROP,
	XDP_PASS,
	XDP_TX,
	XDP_REDIRECT,
};

#endif
