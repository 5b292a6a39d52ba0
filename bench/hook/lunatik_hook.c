// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/lunatik_hook, for benchmarks: who writes to it (anything) has a netfilter
 * hook that does nothing in the writer's network namespace, where IPv4 packets come
 * in. It goes with the namespace.
 */
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/nsproxy.h>
#include <linux/proc_fs.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

struct state {
	bool registered;
};

static unsigned int state_id;

static unsigned int accept(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return NF_ACCEPT;
}

static const struct nf_hook_ops hook = {
	.hook		= accept,
	.pf		= NFPROTO_IPV4,
	.hooknum	= NF_INET_LOCAL_IN,
	.priority	= NF_IP_PRI_FILTER,
};

static ssize_t hook_write(struct file *file, const char __user *text, size_t len, loff_t *pos)
{
	struct net *net = current->nsproxy->net_ns;
	struct state *state = net_generic(net, state_id);
	int err;

	if (state->registered)
		return -EEXIST;
	err = nf_register_net_hook(net, &hook);
	if (err)
		return err;
	state->registered = true;
	return len;
}

static void __net_exit hook_net_exit(struct net *net)
{
	struct state *state = net_generic(net, state_id);

	if (state->registered)
		nf_unregister_net_hook(net, &hook);
}

static struct pernet_operations hook_net_ops = {
	.exit	= hook_net_exit,
	.id	= &state_id,
	.size	= sizeof(struct state),
};

static const struct proc_ops hook_ops = {
	.proc_write	= hook_write,
};

static int __init hook_init(void)
{
	int err = register_pernet_subsys(&hook_net_ops);

	if (err)
		return err;
	if (proc_create("lunatik_hook", 0200, NULL, &hook_ops))
		return 0;
	unregister_pernet_subsys(&hook_net_ops);
	return -ENOMEM;
}

static void __exit hook_exit(void)
{
	remove_proc_entry("lunatik_hook", NULL);
	unregister_pernet_subsys(&hook_net_ops);
	synchronize_net();
}

module_init(hook_init);
module_exit(hook_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Tells benchmarks what a hook that does nothing costs");
