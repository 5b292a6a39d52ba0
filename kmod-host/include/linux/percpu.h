/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_PERCPU_H
#define HOST_LINUX_PERCPU_H

#define DEFINE_PER_CPU(type, name)	__typeof__(type) name
#define this_cpu_ptr(ptr)		(ptr)

#endif
