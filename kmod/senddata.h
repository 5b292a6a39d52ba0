/* SPDX-License-Identifier: GPL-2.0-only */
/* SENDDATA: data for a state's receiver, and what it returns. */
#ifndef LUNATIK_SENDDATA_H
#define LUNATIK_SENDDATA_H

struct genl_info;
struct sk_buff;

/* The operation. May sleep. 0 or a negative errno. */
int lunatik_senddata(struct sk_buff *skb, struct genl_info *info);

#endif
