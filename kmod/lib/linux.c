// SPDX-License-Identifier: GPL-2.0-only
/* The library `linux`: the kernel around a state, and its network namespace. */
#include <linux/log2.h>
#include <linux/netdevice.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>
#include <net/net_namespace.h>

#include "../netns.h"
#include "../state.h"
#include "lib.h"

static struct net *net_of(lua_State *L)
{
	return lunatik_state_of(L)->lnet->net;
}

static int linux_time(lua_State *L)
{
	lua_pushinteger(L, ktime_get_real_ns());
	return 1;
}

static int linux_monotonic(lua_State *L)
{
	lua_pushinteger(L, ktime_get_ns());
	return 1;
}

/* Uniform in 0..limit. */
static u64 random_below(u64 limit)
{
	u64 mask = limit ? GENMASK_ULL(ilog2(limit), 0) : 0;
	u64 n;

	do
		n = get_random_u64() & mask;
	while (n > limit);
	return n;
}

/* As math.random(), but without arguments all bits are random. */
static int linux_random(lua_State *L)
{
	lua_Integer low = 1, high = 0;

	switch (lua_gettop(L)) {
	case 0:
		break;
	case 1:
		high = luaL_checkinteger(L, 1);
		break;
	case 2:
		low = luaL_checkinteger(L, 1);
		high = luaL_checkinteger(L, 2);
		break;
	default:
		return luaL_error(L, "wrong number of arguments");
	}
	if (lua_gettop(L) < 2 && !high) {
		lua_pushinteger(L, get_random_u64());
		return 1;
	}
	luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
	lua_pushinteger(L, (u64)low + random_below((u64)high - (u64)low));
	return 1;
}

/* A script may be on another one the next moment, unless it handles a packet. */
static int linux_cpu(lua_State *L)
{
	lua_pushinteger(L, raw_smp_processor_id());
	return 1;
}

static int linux_ifindex(lua_State *L)
{
	size_t len;
	const char *name = luaL_checklstring(L, 1, &len);
	struct net_device *dev = NULL;
	int index = 0;

	/* What is after a NUL is no part of a name. */
	if (strlen(name) == len) {
		rcu_read_lock();
		dev = dev_get_by_name_rcu(net_of(L), name);
		if (dev)
			index = dev->ifindex;
		rcu_read_unlock();
	}
	if (dev)
		lua_pushinteger(L, index);
	else
		luaL_pushfail(L);
	return 1;
}

struct interface {
	int index;
	char name[IFNAMSIZ];
};

/* Under RCU. Someone may be renaming it. */
static void describe(struct interface *interface, const struct net_device *dev)
{
	interface->index = dev->ifindex;
	memcpy(interface->name, dev->name, IFNAMSIZ);
	interface->name[IFNAMSIZ - 1] = '\0';
}

static int linux_ifname(lua_State *L)
{
	lua_Integer index = luaL_checkinteger(L, 1);
	struct net_device *dev = NULL;
	struct interface interface;

	if (index > 0 && index <= INT_MAX) {
		rcu_read_lock();
		dev = dev_get_by_index_rcu(net_of(L), index);
		if (dev)
			describe(&interface, dev);
		rcu_read_unlock();
	}
	if (dev)
		lua_pushstring(L, interface.name);
	else
		luaL_pushfail(L);
	return 1;
}

/* How many interfaces there are; describes as many of them as there is room for. */
static size_t list(struct net *net, struct interface *interfaces, size_t room)
{
	struct net_device *dev;
	size_t n = 0;

	rcu_read_lock();
	for_each_netdev_rcu(net, dev) {
		if (n < room)
			describe(&interfaces[n], dev);
		n++;
	}
	rcu_read_unlock();
	return n;
}

static int linux_interfaces(lua_State *L)
{
	struct interface *interfaces = NULL;
	size_t i, n, room = 0;

	while ((n = list(net_of(L), interfaces, room)) > room) {
		/* More may come meanwhile. */
		room = n + n / 8 + 1;
		lua_settop(L, 0);
		interfaces = lua_newuserdatauv(L, room * sizeof(*interfaces), 0);
		lunatik_poll(L);
	}
	lua_createtable(L, 0, n);
	for (i = 0; i < n; i++) {
		lua_pushinteger(L, interfaces[i].index);
		lua_setfield(L, -2, interfaces[i].name);
		lunatik_poll(L);
	}
	return 1;
}

static const luaL_Reg functions[] = {
	{ "time",	linux_time },
	{ "monotonic",	linux_monotonic },
	{ "random",	linux_random },
	{ "cpu",	linux_cpu },
	{ "ifindex",	linux_ifindex },
	{ "ifname",	linux_ifname },
	{ "interfaces",	linux_interfaces },
	{ NULL,		NULL },
};

int lunatik_lib_open_linux(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
