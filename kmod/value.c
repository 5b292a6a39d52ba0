// SPDX-License-Identifier: GPL-2.0-only
#include <linux/errno.h>
#include <net/genetlink.h>
#include <uapi/linux/lunatik.h>

#include "reply.h"
#include "run.h"
#include "value.h"

const struct nla_policy lunatik_value_policy[LUNATIK_V_MAX + 1] = {
	[LUNATIK_V_NIL]		= { .type = NLA_FLAG },
	[LUNATIK_V_BOOLEAN]	= NLA_POLICY_MAX(NLA_U8, 1),
	[LUNATIK_V_INTEGER]	= { .type = NLA_S64 },
	[LUNATIK_V_STRING]	= { .type = NLA_BINARY },
	[LUNATIK_V_TABLE]	= { .type = NLA_FLAG },
	[LUNATIK_V_END]		= { .type = NLA_FLAG },
	/* no TEXT: what could not leave the kernel cannot enter it either */
};

#define for_each_arg(attr, nlh, rem) \
	nlmsg_for_each_attr(attr, nlh, GENL_HDRLEN, rem) \
		if (nla_type(attr) == LUNATIK_A_ARG)

/* The one attribute in an ARG. */
static const struct nlattr *inner(const struct nlattr *arg)
{
	return nla_data(arg);
}

/* Within tables keys and values take turns. */
struct place {
	u32 depth;
	bool value[LUNATIK_TABLE_DEPTH + 1];	/* by depth: a value is due, not a key */
};

static const char *check(struct place *place, const struct nlattr *arg, int *count)
{
	const struct nlattr *attr = inner(arg);
	bool *value = &place->value[place->depth];

	if (nla_len(arg) < NLA_HDRLEN || NLA_ALIGN(nla_len(arg)) != nla_total_size(nla_len(attr)))
		return "ARG must hold exactly one value";
	switch (nla_type(attr)) {
	case LUNATIK_V_END:
		if (!place->depth)
			return "ARG: END without TABLE";
		if (*value)
			return "ARG: a table ends with a key that has no value";
		place->depth--;
		value = &place->value[place->depth];
		break;
	case LUNATIK_V_TABLE:
		if (place->depth == LUNATIK_TABLE_DEPTH)
			return "ARG: tables nest deeper than " __stringify(LUNATIK_TABLE_DEPTH);
		place->value[++place->depth] = false;
		return NULL;
	case LUNATIK_V_NIL:
		if (place->depth && !*value)
			return "ARG: nil cannot be a key";
		break;
	}
	/* A value is complete: the next one at this depth is of the other kind. */
	if (place->depth)
		*value = !*value;
	else
		(*count)++;
	return NULL;
}

int lunatik_value_check(const struct nlmsghdr *nlh, struct netlink_ext_ack *extack)
{
	struct place place = {};
	const struct nlattr *arg;
	int rem, count = 0;

	for_each_arg(arg, nlh, rem) {
		const char *wrong = check(&place, arg, &count);

		if (wrong) {
			extack->_msg = wrong;
			NL_SET_BAD_ATTR(extack, arg);
			return -EINVAL;
		}
		if (nla_type(inner(arg)) == LUNATIK_V_STRING &&
		    nla_len(inner(arg)) > LUNATIK_STRING_MAX) {
			NL_SET_ERR_MSG_ATTR(extack, arg, "ARG: string longer than "
					    __stringify(LUNATIK_STRING_MAX) " bytes");
			return -EMSGSIZE;
		}
	}
	if (place.depth) {
		NL_SET_ERR_MSG(extack, "ARG: TABLE without END");
		return -EINVAL;
	}
	return count;
}

static void push_scalar(lua_State *L, const struct nlattr *attr)
{
	switch (nla_type(attr)) {
	case LUNATIK_V_NIL:
		lua_pushnil(L);
		break;
	case LUNATIK_V_BOOLEAN:
		lua_pushboolean(L, nla_get_u8(attr));
		break;
	case LUNATIK_V_INTEGER:
		lua_pushinteger(L, nla_get_s64(attr));
		break;
	case LUNATIK_V_STRING:
		lua_pushlstring(L, nla_data(attr), nla_len(attr));
		break;
	}
}

/* Makes room on Lua's stack. Where there is none, that is for want of memory or at its limit. */
static void need_stack(lua_State *L, int slots, const char *what)
{
	if (lua_checkstack(L, slots))
		return;
	if (lua_gettop(L) + slots > LUAI_MAXSTACK / 2)
		lunatik_run_fail(L, -EMSGSIZE, "too many %s", what);
	lunatik_run_fail(L, -ENOMEM, "not enough memory for the %s", what);
}

void lunatik_value_push(lua_State *L, const struct nlmsghdr *nlh, int count)
{
	struct place place = {};
	const struct nlattr *arg;
	int rem;

	need_stack(L, count + 2 * LUNATIK_TABLE_DEPTH + 1, "arguments");
	for_each_arg(arg, nlh, rem) {
		bool *value;

		switch (nla_type(inner(arg))) {
		case LUNATIK_V_TABLE:
			lua_newtable(L);
			place.value[++place.depth] = false;
			continue;
		case LUNATIK_V_END:
			place.depth--;
			break;
		default:
			push_scalar(L, inner(arg));
		}
		if (!place.depth)
			continue;
		value = &place.value[place.depth];
		if (*value)
			lua_rawset(L, -3);
		*value = !*value;
	}
}

/* Where put_value() is: the tables that it is inside of. */
struct writer {
	lua_State *L;
	struct lunatik_reply *reply;
	u32 depth;
	const void *tables[LUNATIK_TABLE_DEPTH];
};

static void put(struct writer *writer, int type, const void *data, size_t len)
{
	int err = lunatik_reply_put_nested(writer->reply, LUNATIK_A_RESULT, type, data, len);

	if (err == -EMSGSIZE)
		lunatik_run_fail(writer->L, err, "results exceed %d bytes", LUNATIK_REPLY_MAX);
	else if (err)
		lunatik_run_fail(writer->L, err, "not enough memory for the results");
}

static void put_string(struct writer *writer, int type, int idx)
{
	size_t len;
	const char *s = lua_tolstring(writer->L, idx, &len);

	if (len > LUNATIK_STRING_MAX)
		lunatik_run_fail(writer->L, -EMSGSIZE, "a result string of %I bytes exceeds %d",
				 (lua_Integer)len, LUNATIK_STRING_MAX);
	put(writer, type, s, len);
}

static bool can_enter(const struct writer *writer, const void *table)
{
	u32 i;

	for (i = 0; i < writer->depth; i++)
		if (writer->tables[i] == table)
			return false;
	return writer->depth < LUNATIK_TABLE_DEPTH;
}

static void put_value(struct writer *writer, int idx);

static void put_table(struct writer *writer, int idx)
{
	lua_State *L = writer->L;

	need_stack(L, LUA_MINSTACK, "results");
	writer->tables[writer->depth++] = lua_topointer(L, idx);
	put(writer, LUNATIK_V_TABLE, NULL, 0);
	lua_pushnil(L);
	while (lua_next(L, idx)) {
		lunatik_poll(L);
		put_value(writer, lua_gettop(L) - 1);
		put_value(writer, lua_gettop(L));
		lua_pop(L, 1);
	}
	put(writer, LUNATIK_V_END, NULL, 0);
	writer->depth--;
}

static void put_value(struct writer *writer, int idx)
{
	lua_State *L = writer->L;
	lua_Integer integer;
	u8 boolean;

	switch (lua_type(L, idx)) {
	case LUA_TNIL:
		put(writer, LUNATIK_V_NIL, NULL, 0);
		return;
	case LUA_TBOOLEAN:
		boolean = lua_toboolean(L, idx);
		put(writer, LUNATIK_V_BOOLEAN, &boolean, sizeof(boolean));
		return;
	case LUA_TNUMBER:
		integer = lua_tointeger(L, idx);
		put(writer, LUNATIK_V_INTEGER, &integer, sizeof(integer));
		return;
	case LUA_TSTRING:
		put_string(writer, LUNATIK_V_STRING, idx);
		return;
	case LUA_TTABLE:
		if (can_enter(writer, lua_topointer(L, idx))) {
			put_table(writer, idx);
			return;
		}
		break;
	}
	need_stack(L, LUA_MINSTACK, "results");
	luaL_tolstring(L, idx, NULL);
	put_string(writer, LUNATIK_V_TEXT, -1);
	lua_pop(L, 1);
}

void lunatik_value_put(lua_State *L, int first, struct lunatik_reply *reply)
{
	struct writer writer = { .L = L, .reply = reply };
	int idx, top = lua_gettop(L);

	for (idx = first; idx <= top; idx++)
		put_value(&writer, idx);
}
