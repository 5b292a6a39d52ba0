/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_LINUX_JUMP_LABEL_H
#define HOST_LINUX_JUMP_LABEL_H

#include <linux/types.h>

struct static_key_false {
	bool on;
};

#define DECLARE_STATIC_KEY_FALSE(name)	extern struct static_key_false name
#define DEFINE_STATIC_KEY_FALSE(name)	struct static_key_false name
#define static_branch_likely(key)	((key)->on)

#endif
