/* SPDX-License-Identifier: GPL-2.0-only */
/* DOSTRING: code that runs in a state, with arguments and results. */
#ifndef LUNATIK_DOSTRING_H
#define LUNATIK_DOSTRING_H

struct genl_info;
struct sk_buff;

/* The operation. May sleep. 0 or a negative errno. */
int lunatik_dostring(struct sk_buff *skb, struct genl_info *info);

#endif
