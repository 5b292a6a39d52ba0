// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <net/genetlink.h>
#include <uapi/linux/lunatik.h>

#include "bpf.h"
#include "clock.h"
#include "deadline.h"
#include "keep.h"
#include "lua/pointer.h"
#include "netfilter.h"
#include "netlink.h"
#include "netns.h"
#include "session.h"
#include "share.h"
#include "state.h"

static int __init lunatik_init(void)
{
	int err;

	lunatik_pointer_init();
	lunatik_clock_init();
	lunatik_share_init();
	err = lunatik_deadlines_init();
	if (err)
		return err;
	/* No program can be loaded that calls us before this has returned. */
	err = lunatik_bpf_init();
	if (err)
		goto err_bpf;
	err = lunatik_state_init();
	if (err)
		goto err_bpf;
	err = lunatik_netns_init();
	if (err)
		goto err_netns;
	err = lunatik_netfilter_init();
	if (err)
		goto err_netfilter;
	err = lunatik_session_init();
	if (err)
		goto err_session;
	err = lunatik_netlink_init();
	if (err)
		goto err_netlink;
	return 0;

err_netlink:
	lunatik_session_uninit();
err_session:
	lunatik_netfilter_uninit();
err_netfilter:
	lunatik_netns_uninit();
err_netns:
	lunatik_state_uninit();
err_bpf:
	lunatik_deadlines_uninit();
	return err;
}

static void __exit lunatik_exit(void)
{
	/* The family waits for requests under way, so they had better end soon. */
	lunatik_state_stop_all();
	lunatik_netlink_uninit();
	lunatik_session_uninit();
	lunatik_netfilter_uninit();
	lunatik_netns_uninit();
	lunatik_state_uninit();
	/* Hooks that were taken from the kernel may still be running. */
	synchronize_net();
	lunatik_deadlines_uninit();
	lunatik_keep_uninit();
	rcu_barrier();
}

module_init(lunatik_init);
module_exit(lunatik_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lua states per network namespace, over generic netlink");
MODULE_VERSION(LUNATIK_VERSION);
MODULE_ALIAS_GENL_FAMILY(LUNATIK_GENL_NAME);
