/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_KCONFIG_H
#define HOST_LINUX_KCONFIG_H

/* 1 for an option that is defined as 1, else 0. */
#define HOST_ARG_1			0,
#define HOST_SECOND(ignored, second, ...)	second
#define HOST_IS_SET_2(arg)		HOST_SECOND(arg 1, 0)
#define HOST_IS_SET_1(value)		HOST_IS_SET_2(HOST_ARG_##value)
#define IS_ENABLED(option)		HOST_IS_SET_1(option)

#endif
