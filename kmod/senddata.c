// SPDX-License-Identifier: GPL-2.0-only
#include <linux/stringify.h>
#include <net/genetlink.h>
#include <uapi/linux/lunatik.h>

#include "lib/lib.h"
#include "replica.h"
#include "reply.h"
#include "request.h"
#include "run.h"
#include "senddata.h"

struct senddata {
	struct lunatik_run run;
	int type;			/* of those attributes that are data */
	unsigned int given;		/* of them, so far */
	int rem;			/* of the message, from the next attribute on */
	const struct nlattr *data, *next;
};

/* That of the run that has begun: one may have failed before it came to this, or be in several replicas. */
static const struct nlattr *get_data(struct senddata *senddata)
{
	while (senddata->given < senddata->run.begun) {
		senddata->data = senddata->next;
		senddata->next = nla_next(senddata->data, &senddata->rem);
		senddata->given += nla_type(senddata->data) == senddata->type;
	}
	return senddata->data;
}

static void receive(lua_State *L, struct senddata *senddata)
{
	const struct nlattr *data = get_data(senddata);
	struct lunatik_reply *reply;
	const char *text;
	size_t len;
	int err;

	if (!lunatik_lib_push_receiver(L))
		lunatik_run_fail(L, -ENOTCONN, "the state has no receiver");
	lua_pushlstring(L, nla_data(data), nla_len(data));
	lua_call(L, 1, 1);
	lunatik_poll(L);
	text = lua_tolstring(L, -1, &len);
	if (!text) {
		if (lua_isnil(L, -1))
			return;
		luaL_error(L, "the receiver returned a %s, not a string or nil",
			   luaL_typename(L, -1));
	}
	if (len > LUNATIK_DATA_MAX)
		lunatik_run_fail(L, -EMSGSIZE, "the reply's %I bytes exceed %d",
				 (lua_Integer)len, LUNATIK_DATA_MAX);
	reply = lunatik_run_reply(&senddata->run);
	err = reply ? lunatik_reply_put(reply, LUNATIK_A_DATA, text, len) : 0;
	if (err)
		lunatik_run_fail(L, err, "not enough memory for the reply");
}

static int senddata_body(lua_State *L)
{
	struct senddata *senddata = lua_touserdata(L, 1);

	do {
		lua_settop(L, 0);
		receive(L, senddata);
	} while (lunatik_run_next(lunatik_replica_of(L), &senddata->run));
	return 0;
}

static int check_data(const struct nlattr *data, struct genl_info *info)
{
	if (nla_len(data) <= LUNATIK_DATA_MAX)
		return 0;
	return lunatik_refuse(info->extack, data, -EMSGSIZE,
			      "DATA or MESSAGE longer than " __stringify(LUNATIK_DATA_MAX) " bytes");
}

static int senddata_several(struct sk_buff *skb, struct genl_info *info)
{
	struct senddata senddata = {
		.run.body	= senddata_body,
		.type		= LUNATIK_A_MESSAGE,
		.next		= nlmsg_attrdata(info->nlhdr, GENL_HDRLEN),
		.rem		= nlmsg_attrlen(info->nlhdr, GENL_HDRLEN),
	};
	const struct nlattr *attr;
	int rem, err;

	if (info->attrs[LUNATIK_A_DATA])
		return lunatik_refuse(info->extack, info->attrs[LUNATIK_A_DATA], -EINVAL,
				      "DATA beside MESSAGE");
	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != LUNATIK_A_MESSAGE)
			continue;
		err = check_data(attr, info);
		if (err)
			return err;
		senddata.run.count++;
	}
	return lunatik_request_run(skb, info, &senddata.run, true);
}

int lunatik_senddata(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *data = info->attrs[LUNATIK_A_DATA];
	struct senddata senddata = {
		.run.body	= senddata_body,
		.run.count	= 1,
		.type		= LUNATIK_A_DATA,
		.next		= data,
	};
	int err;

	if (info->attrs[LUNATIK_A_MESSAGE])
		return senddata_several(skb, info);
	if (GENL_REQ_ATTR_CHECK(info, LUNATIK_A_DATA))
		return lunatik_refuse(info->extack, NULL, -EINVAL, "DATA is missing");
	err = check_data(data, info);
	if (err)
		return err;
	return lunatik_request_run(skb, info, &senddata.run, false);
}
