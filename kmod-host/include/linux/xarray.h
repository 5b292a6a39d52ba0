/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_XARRAY_H
#define HOST_LINUX_XARRAY_H

struct xarray {
	int unused;
};

#endif
