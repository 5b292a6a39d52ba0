/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_PERCPU_H
#define HOST_LINUX_PERCPU_H

#define __percpu
#define DEFINE_PER_CPU(type, name)	__typeof__(type) name
#define DECLARE_PER_CPU(type, name)	extern __typeof__(type) name
#define this_cpu_ptr(ptr)		(ptr)
#define per_cpu_ptr(ptr, cpu)		((void)(cpu), (ptr))
#define this_cpu_read(name)		(name)
#define this_cpu_write(name, value)	((void)((name) = (value)))
#define for_each_possible_cpu(cpu)	for ((cpu) = 0; (cpu) < 1; (cpu)++)

#endif
