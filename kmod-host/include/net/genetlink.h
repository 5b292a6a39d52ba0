/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_NET_GENETLINK_H
#define HOST_NET_GENETLINK_H

#include <net/net_namespace.h>
#include <net/netlink.h>

#define GENL_HDRLEN	4

struct genlmsghdr {
	u8 cmd;
	u8 version;
	u16 reserved;
};

struct genl_family {
	int unused;
};

struct genl_info {
	u32 snd_seq;
	u32 snd_portid;
	const struct nlmsghdr *nlhdr;
	struct genlmsghdr *genlhdr;
	struct net *net;
	struct netlink_ext_ack *extack;
	struct sk_buff_head sent;	/* what the asker has got */
	int ended;			/* how a long reply ended */
};

struct netlink_callback {
	void *data;
};

struct netlink_dump_control {
	int (*start)(struct netlink_callback *cb);
	int (*dump)(struct sk_buff *skb, struct netlink_callback *cb);
	int (*done)(struct netlink_callback *cb);
	void *data;
	void *module;
	u32 min_dump_alloc;
};

#define genl_info_net(info)	((info)->net)

static inline struct sk_buff *genlmsg_new(size_t payload, gfp_t gfp)
{
	return alloc_skb(NLMSG_HDRLEN + GENL_HDRLEN + payload, gfp);
}

static inline void *genlmsg_put(struct sk_buff *skb, u32 portid, u32 seq,
				const struct genl_family *family, int flags, u8 cmd)
{
	struct nlmsghdr *nlh = skb_put(skb, NLMSG_HDRLEN + GENL_HDRLEN);

	(void)family;
	*nlh = (struct nlmsghdr){ .nlmsg_flags = flags, .nlmsg_seq = seq, .nlmsg_pid = portid };
	*(struct genlmsghdr *)(nlh + 1) = (struct genlmsghdr){ .cmd = cmd };
	return (char *)nlh + NLMSG_HDRLEN + GENL_HDRLEN;
}

static inline void genlmsg_end(struct sk_buff *skb, void *head)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)((char *)head - NLMSG_HDRLEN - GENL_HDRLEN);

	nlh->nlmsg_len = skb->len;
}

static inline int genlmsg_reply(struct sk_buff *skb, struct genl_info *info)
{
	__skb_queue_tail(&info->sent, skb);
	return 0;
}

/* Dumps all of it at once, for there is no reader to wait for. -EINTR as the kernel's. */
int netlink_dump_start(struct sock *sk, struct sk_buff *request, const struct nlmsghdr *nlh,
		       struct netlink_dump_control *control);

#endif
