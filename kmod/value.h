/* SPDX-License-Identifier: GPL-2.0-only */
/* Lua values on the wire, see enum lunatik_value. */
#ifndef LUNATIK_VALUE_H
#define LUNATIK_VALUE_H

#include <net/netlink.h>

#include "lua/lunatik_lua.h"

struct lunatik_reply;

extern const struct nla_policy lunatik_value_policy[LUNATIK_V_MAX + 1];

/*
 * Whether the ARG attributes of a message, validated by policy one by one, make
 * sense together; how many values they are, or -EINVAL or -EMSGSIZE.
 */
int lunatik_value_check(const struct nlmsghdr *nlh, struct netlink_ext_ack *extack);

/* Pushes the values of a checked message. Raises memory errors. */
void lunatik_value_push(lua_State *L, const struct nlmsghdr *nlh, int count);

/*
 * Puts the values from `first` to the top of the stack as RESULTs. Raises errors;
 * one too large is called -EMSGSIZE.
 */
void lunatik_value_put(lua_State *L, int first, struct lunatik_reply *reply);

#endif
