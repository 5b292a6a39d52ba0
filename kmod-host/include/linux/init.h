/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_INIT_H
#define HOST_LINUX_INIT_H

#define __init

#endif
