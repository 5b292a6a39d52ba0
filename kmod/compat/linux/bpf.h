/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_COMPAT_BPF_H
#define LUNATIK_COMPAT_BPF_H

#include_next <linux/bpf.h>
#include <linux/version.h>

/* Whether values have parts that are not plain bytes: locks, timers, pointers. */
static inline bool lunatik_bpf_map_is_special(const struct bpf_map *map)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	return map_value_has_spin_lock(map) || map_value_has_timer(map) ||
	       map_value_has_kptrs(map);
#else
	return !IS_ERR_OR_NULL(map->record);
#endif
}

#endif
