// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cache.h>
#include <linux/init.h>
#include <linux/random.h>
#include <linux/siphash.h>

#include "pointer.h"

unsigned long lunatik_pointer_key[2] __ro_after_init;
static siphash_key_t text_key __ro_after_init;

/* As many bits as the kernel shows where its %p hashes, which it does not on every machine. */
const void *lunatik_hidden_pointer(const void *pointer)
{
	if (!pointer)
		return NULL;
	return (const void *)(unsigned long)((u32)siphash_1u64((unsigned long)pointer, &text_key) ?: 1);
}

void __init lunatik_pointer_init(void)
{
	get_random_bytes(lunatik_pointer_key, sizeof(lunatik_pointer_key));
	lunatik_pointer_key[1] |= 1;
	get_random_bytes(&text_key, sizeof(text_key));
}
