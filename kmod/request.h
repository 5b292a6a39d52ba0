/* SPDX-License-Identifier: GPL-2.0-only */
/* What the operations of the family make of requests, and how those are refused. */
#ifndef LUNATIK_REQUEST_H
#define LUNATIK_REQUEST_H

#include <linux/types.h>

struct genl_info;
struct lunatik_run;
struct lunatik_state;
struct net;
struct netlink_ext_ack;
struct nlattr;
struct nlmsghdr;
struct sk_buff;

/* Says why, and which attribute is at fault or NULL. text is kept, not copied. Gives err. */
int lunatik_refuse(struct netlink_ext_ack *extack, const struct nlattr *attr, int err,
		   const char *text);

/* What policies do not say: 0, or a negative errno. */
int lunatik_request_check(struct net *net, const struct nlmsghdr *nlh,
			  struct netlink_ext_ack *extack);

/* The name that a STATE_NAME attribute is, or NULL and in err a negative errno. */
const char *lunatik_request_name(const struct nlattr *attr, struct netlink_ext_ack *extack,
				 int *err);

/* The state that the attributes name, for lunatik_state_put(), or a negative errno. */
struct lunatik_state *lunatik_request_find(struct net *net, struct nlattr **attrs,
					   struct netlink_ext_ack *extack);
struct lunatik_state *lunatik_request_state(struct genl_info *info);

/* The TIMEOUT attribute, or fallback (microseconds): 0 or a negative errno. */
int lunatik_request_timeout(struct genl_info *info, u32 fallback, u32 max, u32 *timeout);

/*
 * Runs it in the state that the request names, and answers; with several, in the
 * form that the answers of several have. May sleep. 0 or a negative errno.
 */
int lunatik_request_run(struct sk_buff *skb, struct genl_info *info, struct lunatik_run *run,
			bool several);

#endif
