// SPDX-License-Identifier: GPL-2.0-only
/* The library `netfilter`: hooks of the state's namespace. */
#include <linux/kernel.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_arp.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>

#include "../hook.h"
#include "lib.h"

#define MAX_QUEUE	65535

struct name {
	const char *name;
	int value;
};

static const struct name families[] = {
	{ "ipv4",	NFPROTO_IPV4 },
	{ "ipv6",	NFPROTO_IPV6 },
	{ "inet",	NFPROTO_INET },
#ifdef CONFIG_NETFILTER_FAMILY_ARP
	{ "arp",	NFPROTO_ARP },
#endif
#ifdef CONFIG_NETFILTER_FAMILY_BRIDGE
	{ "bridge",	NFPROTO_BRIDGE },
#endif
	{ "netdev",	NFPROTO_NETDEV },
	{ NULL,		0 },
};

static const struct name hooks[] = {
	{ "prerouting",		NF_INET_PRE_ROUTING },
	{ "input",		NF_INET_LOCAL_IN },
	{ "forward",		NF_INET_FORWARD },
	{ "output",		NF_INET_LOCAL_OUT },
	{ "postrouting",	NF_INET_POST_ROUTING },
	{ NULL,			0 },
};

static const struct name inet_hooks[] = {
	{ "prerouting",		NF_INET_PRE_ROUTING },
	{ "input",		NF_INET_LOCAL_IN },
	{ "forward",		NF_INET_FORWARD },
	{ "output",		NF_INET_LOCAL_OUT },
	{ "postrouting",	NF_INET_POST_ROUTING },
	{ "ingress",		NF_INET_INGRESS },
	{ NULL,			0 },
};

static const struct name arp_hooks[] = {
	{ "input",	NF_ARP_IN },
	{ "output",	NF_ARP_OUT },
	{ "forward",	NF_ARP_FORWARD },
	{ NULL,		0 },
};

static const struct name netdev_hooks[] = {
	{ "ingress",	NF_NETDEV_INGRESS },
	{ "egress",	NF_NETDEV_EGRESS },
	{ NULL,		0 },
};

/* As nft's names, for the families of IP */
static const struct name priorities[] = {
	{ "raw",	NF_IP_PRI_RAW },
	{ "conntrack",	NF_IP_PRI_CONNTRACK },
	{ "mangle",	NF_IP_PRI_MANGLE },
	{ "dstnat",	NF_IP_PRI_NAT_DST },
	{ "filter",	NF_IP_PRI_FILTER },
	{ "security",	NF_IP_PRI_SECURITY },
	{ "srcnat",	NF_IP_PRI_NAT_SRC },
	{ NULL,		0 },
};

static const struct name bridge_priorities[] = {
	{ "dstnat",	NF_BR_PRI_NAT_DST_BRIDGED },
	{ "filter",	NF_BR_PRI_FILTER_BRIDGED },
	{ "out",	NF_BR_PRI_NAT_DST_OTHER },
	{ "srcnat",	NF_BR_PRI_NAT_SRC },
	{ NULL,		0 },
};

static const struct name plain_priorities[] = {
	{ "filter",	0 },
	{ NULL,		0 },
};

static const struct name on_errors[] = {
	{ "native",	LUNATIK_ON_ERROR_NATIVE },
	{ "drop",	LUNATIK_ON_ERROR_DROP },
	{ NULL,		0 },
};

/* The value that the field `field` of the table at 1 names; raises an error that says which there are. */
static int get_name(lua_State *L, const char *field, const struct name *names, const char *fallback)
{
	const struct name *name;
	const char *given = fallback;
	luaL_Buffer text;

	if (lua_getfield(L, 1, field) != LUA_TNIL || !fallback) {
		if (lua_type(L, -1) != LUA_TSTRING)
			return luaL_error(L, "field '%s' must be a name, not a %s", field,
					  luaL_typename(L, -1));
		given = lua_tostring(L, -1);
	}
	for (name = names; name->name; name++) {
		if (!strcmp(name->name, given)) {
			lua_pop(L, 1);
			return name->value;
		}
	}
	luaL_buffinit(L, &text);
	for (name = names; name->name; name++) {
		luaL_addstring(&text, name == names ? "" : ", ");
		luaL_addstring(&text, name->name);
	}
	luaL_pushresult(&text);
	return luaL_error(L, "field '%s': '%s' is none of %s", field, given, lua_tostring(L, -1));
}

static const struct name *hooks_of(u8 family)
{
	if (family == NFPROTO_INET)
		return inet_hooks;
	if (family == NFPROTO_NETDEV)
		return netdev_hooks;
	return family == NFPROTO_ARP ? arp_hooks : hooks;
}

static const struct name *priorities_of(u8 family)
{
	if (family == NFPROTO_BRIDGE)
		return bridge_priorities;
	return family == NFPROTO_ARP || family == NFPROTO_NETDEV ? plain_priorities : priorities;
}

/* A name or a number */
static int get_priority(lua_State *L, u8 family)
{
	lua_Integer priority;
	int type = lua_getfield(L, 1, "priority");

	if (type != LUA_TNUMBER) {
		lua_pop(L, 1);
		return get_name(L, "priority", priorities_of(family), "filter");
	}
	priority = lua_tointeger(L, -1);
	if (priority < INT_MIN || priority > INT_MAX)
		luaL_error(L, "field 'priority': %I is out of range", priority);
	lua_pop(L, 1);
	return priority;
}

static void refuse_others(lua_State *L)
{
	static const char *const known[] = { "family", "hook", "dev", "priority", "on_error" };
	int i;

	lua_pushnil(L);
	while (lua_next(L, 1)) {
		lua_pop(L, 1);
		if (lua_isinteger(L, -1) && lua_tointeger(L, -1) == 1)
			continue;
		for (i = 0; i < ARRAY_SIZE(known); i++)
			if (lua_type(L, -1) == LUA_TSTRING &&
			    !strcmp(lua_tostring(L, -1), known[i]))
				break;
		if (i == ARRAY_SIZE(known))
			luaL_error(L, "unknown field '%s'", luaL_tolstring(L, -1, NULL));
	}
}

static const char *name_of(const struct name *names, int value)
{
	while (names->value != value)
		names++;
	return names->name;
}

static bool is_of_device(u8 family, unsigned int number)
{
	return family == NFPROTO_NETDEV ||
	       (family == NFPROTO_INET && number == NF_INET_INGRESS);
}

static bool kernel_has(u8 family, unsigned int number)
{
	return family == NFPROTO_NETDEV && number == NF_NETDEV_EGRESS ?
	       IS_ENABLED(CONFIG_NETFILTER_EGRESS) : IS_ENABLED(CONFIG_NETFILTER_INGRESS);
}

/* Pushes what the hook's device is called, or nil. */
static const char *get_dev(lua_State *L, const struct lunatik_hook_spec *spec, const char *hook)
{
	const char *name;
	size_t len;
	int type = lua_getfield(L, 1, "dev");

	if (!is_of_device(spec->family, spec->number)) {
		if (type != LUA_TNIL)
			luaL_error(L, "field 'dev': hook '%s' is of no device", hook);
		return NULL;
	}
	if (!kernel_has(spec->family, spec->number))
		luaL_error(L, "this kernel has no hook '%s' (CONFIG_NETFILTER_%s)", hook,
			   *hook == 'i' ? "INGRESS" : "EGRESS");
	if (type == LUA_TNIL)
		luaL_error(L, "field 'dev' is missing: hook '%s' is of one device", hook);
	if (type != LUA_TSTRING)
		luaL_error(L, "field 'dev' must be a name, not a %s", luaL_typename(L, -1));
	name = lua_tolstring(L, -1, &len);
	if (!len || len >= ALTIFNAMSIZ || strlen(name) != len)
		luaL_error(L, "field 'dev' is no name of a device");
	return name;
}

static int nf_register(lua_State *L)
{
	struct lunatik_hook_spec spec = { .kind = LUNATIK_HOOK_NETFILTER };
	const char *family, *hook;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	refuse_others(L);
	spec.family = get_name(L, "family", families, NULL);
	spec.number = get_name(L, "hook", hooks_of(spec.family), NULL);
	spec.priority = get_priority(L, spec.family);
	spec.on_error = get_name(L, "on_error", on_errors, "native");
	family = name_of(families, spec.family);
	hook = name_of(hooks_of(spec.family), spec.number);
	spec.device = get_dev(L, &spec, hook);
	spec.name = lua_pushfstring(L, spec.device ? "%s %s %s" : "%s %s", family, hook,
				    spec.device);
	if (lua_rawgeti(L, 1, 1) != LUA_TFUNCTION)
		return luaL_error(L, "a function is missing");
	return lunatik_lib_push_hook(L, &spec);
}

/* The verdict that hands the packet to a program at that queue, or accepts it if there is none. */
static int nf_queue(lua_State *L)
{
	lua_Integer queue = luaL_checkinteger(L, 1);
	int verdict;

	luaL_argcheck(L, queue >= 0 && queue <= MAX_QUEUE, 1, "queues are 0 to 65535");
	verdict = NF_QUEUE_NR(queue);
	if (lua_toboolean(L, 2))
		verdict |= NF_VERDICT_FLAG_QUEUE_BYPASS;
	lua_pushinteger(L, (u32)verdict);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "register",	nf_register },
	{ "queue",	nf_queue },
	{ "ACCEPT",	NULL },
	{ "DROP",	NULL },
	{ NULL,		NULL },
};

int lunatik_lib_open_netfilter(lua_State *L)
{
	luaL_newlib(L, functions);
	lua_pushinteger(L, NF_ACCEPT);
	lua_setfield(L, -2, "ACCEPT");
	lua_pushinteger(L, NF_DROP);
	lua_setfield(L, -2, "DROP");
	return 1;
}
