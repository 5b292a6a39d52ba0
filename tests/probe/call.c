// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/lunatik_call, for tests: calls bpf_lunatik_xdp() or bpf_lunatik_tc() as an eBPF
 * program would where the kernel lets none do it. Who writes a struct call with the
 * bytes of a packet behind it has it called, and reads a struct outcome with the bytes
 * as they are then. Like a program, the caller looks afterwards at the bytes where
 * they were before.
 */
#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <linux/init.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>
#include <net/xdp.h>

#include "probe.h"

#define HEADROOM	256
/* Of a packet; those of XDP have that many linear ones, too. */
#define BYTES_MAX	(2 * 2048)
#define LINEAR_MAX	2048

struct call {
	u64 function;	/* the address of what is called: the module may be loaded anew */
	u64 arg;
	u32 state;
	u32 xdp;	/* 0: for TC */
	u32 linear;	/* so many bytes lie in the first piece, the others in a page */
	u32 cloned;	/* someone else has the bytes, too; TC only */
};

struct outcome {
	s32 verdict;
	u8 bytes[];
};

struct answer {
	size_t len;
	struct outcome outcome;
};

typedef int (*xdp_function)(struct xdp_md *ctx, u32 state, u64 arg);
typedef int (*tc_function)(struct __sk_buff *ctx, u32 state, u64 arg);

/* Checkers see each byte that is read. */
static noinline u32 look_at(const u8 *bytes, u32 n)
{
	u32 sum = 0;

	while (n--)
		sum += READ_ONCE(*bytes++);
	return sum;
}

static struct answer *answer_new(int verdict, size_t len)
{
	struct answer *answer = kzalloc(sizeof(*answer) + len, GFP_KERNEL);

	if (!answer)
		return ERR_PTR(-ENOMEM);
	answer->len = sizeof(answer->outcome) + len;
	answer->outcome.verdict = verdict;
	return answer;
}

/* As programs are run, but for who calls them. */
static int run_xdp(const struct call *call, struct xdp_buff *xdp)
{
	struct bpf_net_context context, *outer;
	const u8 *data = xdp->data;
	u32 len = xdp->data_end - xdp->data;
	int verdict;

	local_bh_disable();
	outer = bpf_net_ctx_set(&context);
	rcu_read_lock();
	verdict = ((xdp_function)call->function)((struct xdp_md *)xdp, call->state, call->arg);
	look_at(data, len);
	rcu_read_unlock();
	bpf_net_ctx_clear(outer);
	local_bh_enable();
	return verdict;
}

static int run_tc(const struct call *call, struct sk_buff *skb)
{
	struct bpf_net_context context, *outer;
	const u8 *data = skb->data;
	u32 len = skb_headlen(skb);
	int verdict;

	local_bh_disable();
	outer = bpf_net_ctx_set(&context);
	rcu_read_lock();
	bpf_compute_data_pointers(skb);
	verdict = ((tc_function)call->function)((struct __sk_buff *)skb, call->state, call->arg);
	look_at(data, len);
	rcu_read_unlock();
	bpf_net_ctx_clear(outer);
	local_bh_enable();
	return verdict;
}

static struct answer *answer_xdp(int verdict, struct xdp_buff *xdp)
{
	u32 linear = xdp->data_end - xdp->data;
	const struct skb_shared_info *info = xdp_get_shared_info_from_buff(xdp);
	struct answer *answer = answer_new(verdict, xdp_get_buff_len(xdp));

	if (IS_ERR(answer))
		return answer;
	memcpy(answer->outcome.bytes, xdp->data, linear);
	if (xdp_buff_has_frags(xdp))
		memcpy(answer->outcome.bytes + linear, skb_frag_address(&info->frags[0]),
		       skb_frag_size(&info->frags[0]));
	return answer;
}

static struct answer *call_xdp(const struct call *call, struct net_device *dev, const u8 *bytes,
			       u32 len)
{
	struct xdp_rxq_info rxq = { .dev = dev };
	u32 linear = min(call->linear, len);
	struct page *first, *second = NULL;
	struct answer *answer = ERR_PTR(-ENOMEM);
	struct skb_shared_info *info;
	struct xdp_buff xdp;

	first = alloc_page(GFP_KERNEL);
	if (!first)
		return answer;
	xdp_init_buff(&xdp, PAGE_SIZE, &rxq);
	xdp_prepare_buff(&xdp, page_address(first), HEADROOM, linear, true);
	memcpy(xdp.data, bytes, linear);
	info = xdp_get_shared_info_from_buff(&xdp);
	memset(info, 0, sizeof(*info));
	if (linear < len) {
		second = alloc_page(GFP_KERNEL);
		if (!second)
			goto out;
		memcpy(page_address(second), bytes + linear, len - linear);
		skb_frag_fill_page_desc(&info->frags[0], second, 0, len - linear);
		info->nr_frags = 1;
		info->xdp_frags_size = len - linear;
		xdp_buff_set_frags_flag(&xdp);
	}
	answer = answer_xdp(run_xdp(call, &xdp), &xdp);
	if (second)
		__free_page(second);
out:
	__free_page(first);
	return answer;
}

/* As it comes from a device, whose header is the linear part's first bytes. */
static struct sk_buff *skb_new(const struct call *call, struct net_device *dev, const u8 *bytes,
			       u32 len)
{
	u32 linear = clamp(call->linear, ETH_HLEN, len);
	struct sk_buff *skb = alloc_skb(HEADROOM + linear, GFP_KERNEL);
	struct page *page;

	if (!skb)
		return NULL;
	skb_reserve(skb, HEADROOM);
	skb_put_data(skb, bytes, linear);
	if (linear < len) {
		page = alloc_page(GFP_KERNEL);
		if (!page) {
			kfree_skb(skb);
			return NULL;
		}
		memcpy(page_address(page), bytes + linear, len - linear);
		skb_add_rx_frag(skb, 0, page, 0, len - linear, PAGE_SIZE);
	}
	skb->protocol = eth_type_trans(skb, dev);
	skb_reset_network_header(skb);
	__skb_push(skb, ETH_HLEN);
	return skb;
}

static struct answer *answer_tc(int verdict, const struct sk_buff *skb)
{
	struct answer *answer = answer_new(verdict, skb->len);

	if (!IS_ERR(answer) && skb_copy_bits(skb, 0, answer->outcome.bytes, skb->len)) {
		kfree(answer);
		return ERR_PTR(-EFAULT);
	}
	return answer;
}

static struct answer *call_tc(const struct call *call, struct net_device *dev, const u8 *bytes,
			      u32 len)
{
	struct answer *answer = ERR_PTR(-ENOMEM);
	struct sk_buff *skb, *clone = NULL;

	if (len < ETH_HLEN)
		return ERR_PTR(-EINVAL);
	skb = skb_new(call, dev, bytes, len);
	if (!skb)
		return answer;
	if (call->cloned) {
		clone = skb_clone(skb, GFP_KERNEL);
		if (!clone)
			goto out;
	}
	answer = answer_tc(run_tc(call, skb), skb);
	/* Nobody has written to what is someone else's. */
	if (clone && (skb_copy_bits(clone, 0, (u8 *)bytes + len, len) ||
		      memcmp(bytes, bytes + len, len))) {
		if (!IS_ERR(answer))
			kfree(answer);
		answer = ERR_PTR(-EIO);
	}
	kfree_skb(clone);
out:
	kfree_skb(skb);
	return answer;
}

static ssize_t call_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	struct net_device *dev = current->nsproxy->net_ns->loopback_dev;
	struct answer *answer;
	struct call call;
	u32 len;
	u8 *bytes;

	if (size <= sizeof(call) || size > sizeof(call) + BYTES_MAX)
		return -EINVAL;
	if (copy_from_user(&call, from, sizeof(call)))
		return -EFAULT;
	len = size - sizeof(call);
	if (call.linear > LINEAR_MAX || len > call.linear + PAGE_SIZE)
		return -EINVAL;
	/* With room to compare */
	bytes = kzalloc(2 * len, GFP_KERNEL);
	if (!bytes)
		return -ENOMEM;
	if (copy_from_user(bytes, from + sizeof(call), len))
		answer = ERR_PTR(-EFAULT);
	else if (call.xdp)
		answer = call_xdp(&call, dev, bytes, len);
	else
		answer = call_tc(&call, dev, bytes, len);
	kfree(bytes);
	if (IS_ERR(answer))
		return PTR_ERR(answer);
	kfree(file->private_data);
	file->private_data = answer;
	return size;
}

static ssize_t call_read(struct file *file, char __user *to, size_t size, loff_t *pos)
{
	const struct answer *answer = file->private_data;

	if (!answer)
		return 0;
	/* From the beginning each time. */
	*pos = 0;
	return simple_read_from_buffer(to, size, pos, &answer->outcome, answer->len);
}

static int call_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static int call_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;
	return 0;
}

static const struct proc_ops call_ops = {
	.proc_open	= call_open,
	.proc_read	= call_read,
	.proc_write	= call_write,
	.proc_release	= call_release,
};

int __init probe_call_init(void)
{
	return proc_create("lunatik_call", 0600, NULL, &call_ops) ? 0 : -ENOMEM;
}

void probe_call_exit(void)
{
	remove_proc_entry("lunatik_call", NULL);
}
