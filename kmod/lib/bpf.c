// SPDX-License-Identifier: GPL-2.0-only
/* The library `bpf`: loaded programs, called with the packet in hand, and maps. */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <net/xdp.h>

#include "../bpf.h"
#include "../packet.h"
#include "../replica.h"
#include "bpf.h"

/* What tail calls between programs of several functions may take more of the stack. */
#define TAIL_CALLS_STACK	(MAX_TAIL_CALL_CNT * 256)

struct prog {
	struct lunatik_object *object;
};

void *lunatik_lib_bpf_check(lua_State *L, const char *name)
{
	void *userdata = lua_touserdata(L, 1);
	const void *metatable = lua_topointer(L, lua_upvalueindex(1));

	if (!userdata || !lua_getmetatable(L, 1) || lua_topointer(L, -1) != metatable)
		luaL_typeerror(L, 1, name);
	lua_pop(L, 1);
	return userdata;
}

int lunatik_lib_bpf_gc(lua_State *L)
{
	struct lunatik_object **object = lua_touserdata(L, 1);

	if (*object)
		lunatik_object_free(lunatik_replica_of(L), *object);
	*object = NULL;
	return 0;
}

const char *lunatik_lib_bpf_path(lua_State *L)
{
	size_t len;
	const char *path = luaL_checklstring(L, 1, &len);

	luaL_argcheck(L, len && strlen(path) == len, 1, "not a path");
	return path;
}

/* The packet in hand, if the program is one for such packets. */
static struct lunatik_packet *check_packet(lua_State *L, const struct bpf_prog *prog)
{
	bool xdp = prog->type == BPF_PROG_TYPE_XDP;
	struct lunatik_packet *packet;

	if (!lua_islightuserdata(L, 2))
		luaL_typeerror(L, 2, "packet");
	packet = lunatik_packet_in_hand(L, lua_touserdata(L, 2));
	if (!packet)
		luaL_error(L, "packet used outside its callback");
	if (packet->kind != (xdp ? LUNATIK_HOOK_XDP : LUNATIK_HOOK_TC))
		luaL_error(L, "the program is for packets of %s", xdp ? "xdp" : "tc");
	return packet;
}

static void check_stack(lua_State *L, const struct bpf_prog *prog)
{
	size_t need = LUNATIK_STACK_KERNEL + MAX_BPF_STACK;

	if (prog->aux->tail_call_reachable)
		need += TAIL_CALLS_STACK;
	if (lunatik_stack_left(lunatik_guard(L)) < need)
		luaL_error(L, "C stack overflow");
}

static void get_args(lua_State *L, struct lunatik_bpf_call *call)
{
	int i, n = lua_gettop(L) - 2;

	luaL_argcheck(L, n <= LUNATIK_BPF_ARGS_MAX, 2 + LUNATIK_BPF_ARGS_MAX + 1,
		      "too many arguments for a program");
	call->nargs = n;
	for (i = 0; i < n; i++)
		call->args[i] = luaL_checkinteger(L, 3 + i);
}

/*
 * The program that called us may have pointers into fragments, which another one
 * could free.
 */
static int run_xdp(lua_State *L, struct lunatik_packet *packet, const struct bpf_prog *prog,
		   struct lunatik_bpf_call *call)
{
	int verdict;

	if (xdp_buff_has_frags(packet->xdp))
		luaL_error(L, "a packet in several buffers cannot be given to a program");
	lunatik_bpf_call_begin(call);
	verdict = bpf_prog_run(prog, packet->xdp);
	lunatik_bpf_call_end(call);
	lunatik_packet_update_xdp(packet);
	return verdict;
}

static void free_clone(struct rcu_head *rcu)
{
	consume_skb(container_of((void *)rcu, struct sk_buff, cb));
}

/*
 * The program that called us may have pointers into the packet, and this one may
 * move its bytes. They stay where they were until that one has returned, which it
 * does under RCU.
 */
static int run_tc(lua_State *L, struct lunatik_packet *packet, const struct bpf_prog *prog,
		  struct lunatik_bpf_call *call)
{
	struct sk_buff *skb = packet->skb;
	struct sk_buff *clone = skb_clone(skb, GFP_ATOMIC | __GFP_NOWARN);
	int verdict;

	BUILD_BUG_ON(sizeof(struct rcu_head) > sizeof(clone->cb));
	if (!clone)
		return lunatik_lib_nomem(L);
	bpf_compute_data_pointers(skb);
	lunatik_bpf_call_begin(call);
	verdict = bpf_prog_run(prog, skb);
	lunatik_bpf_call_end(call);
	if (clone->head == skb->head)
		consume_skb(clone);
	else
		call_rcu((struct rcu_head *)clone->cb, free_clone);
	lunatik_packet_update_skb(packet);
	return verdict;
}

/* prog(pkt, ...): its verdict and, if it set one, its result. */
static int prog_call(lua_State *L)
{
	const struct prog *userdata = lunatik_lib_bpf_check(L, "bpf.prog");
	const struct bpf_prog *prog = userdata->object->prog;
	struct lunatik_packet *packet = check_packet(L, prog);
	struct lunatik_bpf_call call = { };
	int verdict;

	check_stack(L, prog);
	get_args(L, &call);
	if (packet->kind == LUNATIK_HOOK_XDP)
		verdict = run_xdp(L, packet, prog, &call);
	else
		verdict = run_tc(L, packet, prog, &call);
	packet->layout.known = false;
	lua_settop(L, 0);
	lua_pushinteger(L, verdict);
	if (!call.has_result)
		return 1;
	lua_pushinteger(L, call.result);
	return 2;
}

static int prog_tostring(lua_State *L)
{
	const struct prog *userdata = lunatik_lib_bpf_check(L, "bpf.prog");
	const struct bpf_prog *prog = userdata->object->prog;

	lua_pushfstring(L, "bpf.prog (%s)", prog->aux->name);
	return 1;
}

/* bpf.prog(path) */
static int prog_open(lua_State *L)
{
	const char *path = lunatik_lib_bpf_path(L);
	struct prog *prog = lua_newuserdatauv(L, sizeof(*prog), 0);

	prog->object = NULL;
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_setmetatable(L, -2);
	prog->object = lunatik_object_new(L);
	lunatik_object_open_prog(L, prog->object, path);
	return 1;
}

static const luaL_Reg prog_methods[] = {
	{ "__call",	prog_call },
	{ "__tostring",	prog_tostring },
	{ NULL,		NULL },
};

void lunatik_lib_bpf_push_prog(lua_State *L)
{
	lua_newtable(L);
	lua_pushvalue(L, -1);
	luaL_setfuncs(L, prog_methods, 1);
	lua_pushcfunction(L, lunatik_lib_bpf_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushliteral(L, "bpf.prog");
	lua_setfield(L, -2, "__metatable");
	lua_pushliteral(L, "bpf.prog");
	lua_setfield(L, -2, "__name");
	lua_pushcclosure(L, prog_open, 1);
}

int lunatik_lib_open_bpf(lua_State *L)
{
	lua_createtable(L, 0, 2);
	lunatik_lib_bpf_push_prog(L);
	lua_setfield(L, -2, "prog");
	lunatik_lib_bpf_push_map(L);
	lua_setfield(L, -2, "map");
	return 1;
}
