/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_CPUHOTPLUG_H
#define HOST_LINUX_CPUHOTPLUG_H

/* CPUs neither come nor go. */
enum cpuhp_state {
	CPUHP_BP_PREPARE_DYN,
};

static inline int cpuhp_setup_state_nocalls(enum cpuhp_state state, const char *name,
					    int (*startup)(unsigned int cpu),
					    int (*teardown)(unsigned int cpu))
{
	return state;
}

static inline void cpuhp_remove_state_nocalls(enum cpuhp_state state)
{
}

#endif
