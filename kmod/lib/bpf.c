// SPDX-License-Identifier: GPL-2.0-only
/* The library `bpf`: loaded programs, called with the packet in hand, and maps. */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/kernel.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <net/xdp.h>

#include "../bpf_call.h"
#include "../keep.h"
#include "../packet_xdp.h"
#include "../replica.h"
#include "../lua/args.h"
#include "bpf.h"

/* What tail calls between programs of several functions may take more of the stack. */
#define TAIL_CALLS_STACK	(MAX_TAIL_CALL_CNT * 256)

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

static noinline __cold void no_packet(lua_State *L, bool xdp)
{
	if (!lua_islightuserdata(L, 1))
		luaL_typeerror(L, 1, "packet");
	if (!lunatik_packet_is(lunatik_replica_of(L), lua_touserdata(L, 1)))
		luaL_error(L, "packet used outside its callback");
	luaL_error(L, "the program is for packets of %s", xdp ? "xdp" : "tc");
}

/* The packet in hand, if it is the argument and the program is one for such packets. */
static __always_inline struct lunatik_packet *check_packet(lua_State *L, bool xdp)
{
	const struct lunatik_replica *replica = lunatik_replica_of(L);
	const TValue *arg = s2v(L->ci->func.p + 1);

	if (unlikely(!ttislightuserdata(arg) || !lunatik_packet_is(replica, pvalue(arg)) ||
		     replica->packet->kind != (xdp ? LUNATIK_HOOK_XDP : LUNATIK_HOOK_TC)))
		no_packet(L, xdp);
	return replica->packet;
}

static size_t stack_of(const struct bpf_prog *prog)
{
	size_t need = LUNATIK_STACK_KERNEL + MAX_BPF_STACK;

	return prog->aux->tail_call_reachable ? need + TAIL_CALLS_STACK : need;
}

static noinline __cold void stack_overflow(lua_State *L)
{
	luaL_error(L, "C stack overflow");
}

/* Those behind the packet: how many. */
static u16 get_args(lua_State *L, struct lunatik_bpf_call *call)
{
	int i, n = lua_gettop(L) - 1;

	if (n < 0)
		luaL_typeerror(L, 1, "packet");
	luaL_argcheck(L, n <= LUNATIK_BPF_ARGS_MAX, 1 + LUNATIK_BPF_ARGS_MAX + 1,
		      "too many arguments for a program");
	for (i = 0; i < n; i++)
		call->args[i] = luaL_checkinteger(L, 2 + i);
	return n;
}

/*
 * Around the run of the program: its kfuncs find the call. Bottom halves are off, so
 * it is theirs, but for those of BPF_PROG_TEST_RUN, which may run in the middle of
 * another task's call where softirqs are preemptible; hence the task.
 */
static __always_inline void begin(struct lunatik_bpf_call *call, u16 nargs)
{
	lockdep_assert_in_softirq();
	call->running = true;
	call->has_result = false;
	call->nargs = nargs;
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		call->task = current;
}

static __always_inline void end(struct lunatik_bpf_call *call)
{
	call->running = false;
}

static noinline __cold void in_fragments(lua_State *L)
{
	luaL_error(L, "a packet in several buffers cannot be given to a program");
}

/*
 * The program that called us may have pointers into fragments, which another one
 * could free.
 */
static __always_inline int run_xdp(lua_State *L, struct lunatik_packet *packet,
				   const struct bpf_prog *prog, struct lunatik_bpf_call *call,
				   u16 nargs)
{
	struct xdp_buff *xdp = packet->xdp;
	int verdict;

	if (unlikely(xdp_buff_has_frags(xdp)))
		in_fragments(L);
	begin(call, nargs);
	verdict = bpf_prog_run(prog, xdp);
	end(call);
	lunatik_packet_update_xdp(packet);
	return verdict;
}

/*
 * The program that called us may have pointers into the packet, and this one may
 * move its bytes. They stay where they were until that one has returned, which it
 * does under RCU.
 */
static __always_inline int run_tc(lua_State *L, struct lunatik_packet *packet,
				  const struct bpf_prog *prog, struct lunatik_bpf_call *call,
				  u16 nargs)
{
	struct sk_buff *skb = packet->skb;
	int verdict;

	if (unlikely(!lunatik_keep_begin(skb)))
		return lunatik_lib_nomem(L);
	begin(call, nargs);
	verdict = bpf_prog_run(prog, skb);
	end(call);
	lunatik_keep_end(skb);
	lunatik_packet_update_skb(packet);
	packet->layout.known = false;
	return verdict;
}

/* prog(pkt, ...): its verdict and, if it set one, its result. */
static __always_inline int prog_run(lua_State *L, struct lunatik_bpf_call *call, u16 nargs, bool xdp)
{
	const struct lunatik_object *object = lunatik_upvalue(L);
	struct lunatik_packet *packet = check_packet(L, xdp);
	const struct bpf_prog *prog = object->prog;
	int verdict;

	if (unlikely(lunatik_stack_left(lunatik_guard(L)) < object->stack))
		stack_overflow(L);
	verdict = xdp ? run_xdp(L, packet, prog, call, nargs) :
			run_tc(L, packet, prog, call, nargs);
	lunatik_push_integer(L, verdict);
	if (likely(!call->has_result))
		return 1;
	lunatik_push_integer(L, call->result);
	return 2;
}

static noinline int prog_run_with_args(lua_State *L, struct lunatik_bpf_call *call, bool xdp)
{
	u16 nargs = get_args(L, call);

	return xdp ? prog_run(L, call, nargs, true) : prog_run(L, call, nargs, false);
}

static __always_inline int prog_call(lua_State *L, bool xdp)
{
	struct lunatik_bpf_call *call = &lunatik_replica_of(L)->call;

	if (L->top.p != L->ci->func.p + 2)
		return prog_run_with_args(L, call, xdp);
	return prog_run(L, call, 0, xdp);
}

static int prog_call_xdp(lua_State *L)
{
	return prog_call(L, true);
}

static int prog_call_tc(lua_State *L)
{
	return prog_call(L, false);
}

/*
 * bpf.prog(path): a function, of which scripts see neither the object nor the userdata
 * that it ends with.
 */
static int prog_open(lua_State *L)
{
	const char *path = lunatik_lib_bpf_path(L);
	struct lunatik_object **object = lua_newuserdatauv(L, sizeof(*object), 0);

	*object = NULL;
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_setmetatable(L, -2);
	*object = lunatik_object_new(L);
	lunatik_object_open_prog(L, *object, path);
	(*object)->stack = stack_of((*object)->prog);
	lua_pushlightuserdata(L, *object);
	lua_insert(L, -2);
	lua_pushcclosure(L, (*object)->prog->type == BPF_PROG_TYPE_XDP ? prog_call_xdp : prog_call_tc,
			 2);
	return 1;
}

void lunatik_lib_bpf_push_prog(lua_State *L)
{
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, lunatik_lib_bpf_gc);
	lua_setfield(L, -2, "__gc");
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
