/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_SPINLOCK_H
#define HOST_LINUX_SPINLOCK_H

/* There is one thread. What locks check is that they pair. */
#include <linux/kernel.h>

typedef struct {
	int held;
} spinlock_t;

static inline void spin_lock_init(spinlock_t *lock)
{
	lock->held = 0;
}

static inline void spin_lock_bh(spinlock_t *lock)
{
	WARN_ON_ONCE(lock->held++);
}

static inline void spin_unlock_bh(spinlock_t *lock)
{
	WARN_ON_ONCE(--lock->held);
}

static inline int spin_is_locked(const spinlock_t *lock)
{
	return lock->held;
}

static inline int spin_trylock(spinlock_t *lock)
{
	return !lock->held && ++lock->held;
}

#define spin_lock(lock)		spin_lock_bh(lock)
#define spin_unlock(lock)	spin_unlock_bh(lock)

#endif
