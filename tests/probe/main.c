// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>

#include "probe.h"

static int __init probe_init(void)
{
	int err = probe_stack_init();

	if (err)
		return err;
	err = probe_stall_init();
	if (err)
		goto stack;
	err = IS_ENABLED(CONFIG_UML) ? probe_call_init() : probe_irq_init();
	if (err)
		goto stall;
	return 0;
stall:
	probe_stall_exit();
stack:
	probe_stack_exit();
	return err;
}

static void __exit probe_exit(void)
{
	if (IS_ENABLED(CONFIG_UML))
		probe_call_exit();
	else
		probe_irq_exit();
	probe_stall_exit();
	probe_stack_exit();
}

module_init(probe_init);
module_exit(probe_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Tells tests what the kernel tells nobody else");
