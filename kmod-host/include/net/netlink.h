/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOST_NET_NETLINK_H
#define HOST_NET_NETLINK_H

#include <linux/errno.h>
#include <linux/skbuff.h>

#define NLA_F_NESTED		(1 << 15)
#define NLA_TYPE_MASK		0x3fff
#define NLMSG_HDRLEN		16
#define NLA_HDRLEN		4
#define NLA_ALIGN(len)		(((len) + 3) & ~3)
#define NLM_F_MULTI		2

struct nlmsghdr {
	u32 nlmsg_len;
	u16 nlmsg_type;
	u16 nlmsg_flags;
	u32 nlmsg_seq;
	u32 nlmsg_pid;
};

struct nlattr {
	u16 nla_len;
	u16 nla_type;
};

enum {
	NLA_UNSPEC,
	NLA_U8,
	NLA_S64,
	NLA_FLAG,
	NLA_BINARY,
	NLA_NESTED,
};

struct nla_policy {
	u8 type;
	u16 max;	/* of the value; 0: any */
};

#define NLA_POLICY_MAX(_type, _max)	{ .type = _type, .max = _max }

struct netlink_ext_ack {
	const char *_msg;
	const struct nlattr *bad_attr;
};

#define NL_SET_ERR_MSG(extack, msg)	((void)((extack)->_msg = (msg)))
#define NL_SET_BAD_ATTR(extack, attr)	((void)((extack)->bad_attr = (attr)))
#define NL_SET_ERR_MSG_ATTR(extack, attr, msg) \
	(NL_SET_ERR_MSG(extack, msg), NL_SET_BAD_ATTR(extack, attr))
#define NL_SET_ERR_MSG_FMT

static inline int nla_attr_size(int payload)
{
	return NLA_HDRLEN + payload;
}

static inline int nla_total_size(int payload)
{
	return NLA_ALIGN(nla_attr_size(payload));
}

static inline int nla_padlen(int payload)
{
	return nla_total_size(payload) - nla_attr_size(payload);
}

static inline int nla_type(const struct nlattr *attr)
{
	return attr->nla_type & NLA_TYPE_MASK;
}

static inline void *nla_data(const struct nlattr *attr)
{
	return (char *)attr + NLA_HDRLEN;
}

static inline int nla_len(const struct nlattr *attr)
{
	return attr->nla_len - NLA_HDRLEN;
}

static inline int nla_ok(const struct nlattr *attr, int rem)
{
	return rem >= NLA_HDRLEN && attr->nla_len >= NLA_HDRLEN && attr->nla_len <= rem;
}

static inline struct nlattr *nla_next(const struct nlattr *attr, int *rem)
{
	*rem -= NLA_ALIGN(attr->nla_len);
	return (struct nlattr *)((char *)attr + NLA_ALIGN(attr->nla_len));
}

#define nla_for_each_attr(pos, head, len, rem) \
	for (pos = head, rem = len; nla_ok(pos, rem); pos = nla_next(pos, &(rem)))

static inline u8 nla_get_u8(const struct nlattr *attr)
{
	return *(u8 *)nla_data(attr);
}

static inline s64 nla_get_s64(const struct nlattr *attr)
{
	s64 value;

	memcpy(&value, nla_data(attr), sizeof(value));
	return value;
}

static inline struct nlattr *nla_reserve(struct sk_buff *skb, int type, int len)
{
	struct nlattr *attr;

	if (skb_tailroom(skb) < (unsigned int)nla_total_size(len))
		return NULL;
	attr = skb_put(skb, nla_total_size(len));
	attr->nla_type = type;
	attr->nla_len = nla_attr_size(len);
	memset((char *)attr + attr->nla_len, 0, nla_padlen(len));
	return attr;
}

static inline int nla_put(struct sk_buff *skb, int type, int len, const void *data)
{
	struct nlattr *attr = nla_reserve(skb, type, len);

	if (!attr)
		return -EMSGSIZE;
	if (len)
		memcpy(nla_data(attr), data, len);
	return 0;
}

static inline struct nlmsghdr *nlmsg_hdr(const struct sk_buff *skb)
{
	return (struct nlmsghdr *)skb->data;
}

static inline struct nlattr *nlmsg_attrdata(const struct nlmsghdr *nlh, int hdrlen)
{
	return (struct nlattr *)((char *)nlh + NLMSG_HDRLEN + hdrlen);
}

static inline int nlmsg_attrlen(const struct nlmsghdr *nlh, int hdrlen)
{
	return nlh->nlmsg_len - NLMSG_HDRLEN - hdrlen;
}

#define nlmsg_for_each_attr(pos, nlh, hdrlen, rem) \
	nla_for_each_attr(pos, nlmsg_attrdata(nlh, hdrlen), nlmsg_attrlen(nlh, hdrlen), rem)

#endif
