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

static noinline __cold int no_packet(lua_State *L, bool xdp)
{
	if (!lua_islightuserdata(L, 1))
		return luaL_typeerror(L, 1, "packet");
	if (!lunatik_packet_is(lunatik_replica_of(L), lua_touserdata(L, 1)))
		return luaL_error(L, "packet used outside its callback");
	return luaL_error(L, "the program is for packets of %s", xdp ? "xdp" : "tc");
}

/* Whether the argument is the packet in hand, and the program one for such packets. */
static __always_inline bool is_packet(const lua_State *L, bool xdp)
{
	const struct lunatik_replica *replica = lunatik_replica_of(L);
	const TValue *arg = s2v(L->ci->func.p + 1);

	return ttislightuserdata(arg) && lunatik_packet_is(replica, pvalue(arg)) &&
	       replica->packet->kind == (xdp ? LUNATIK_HOOK_XDP : LUNATIK_HOOK_TC);
}

/*
 * Programs for TC may send packets themselves, through devices that lie upon others,
 * which goes as deep as reclaim does. For both this and all the tail calls there is
 * no stack anywhere.
 */
static size_t stack_of(const struct bpf_prog *prog)
{
	size_t need = LUNATIK_STACK_KERNEL;

	if (prog->aux->tail_call_reachable)
		need += TAIL_CALLS_STACK;
	if (prog->type == BPF_PROG_TYPE_SCHED_CLS)
		need = max_t(size_t, need, LUNATIK_STACK_RECLAIM);
	return need + MAX_BPF_STACK;
}

static noinline __cold int stack_overflow(lua_State *L)
{
	return luaL_error(L, "C stack overflow");
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

static noinline __cold int in_fragments(lua_State *L)
{
	return luaL_error(L, "a packet in several buffers cannot be given to a program");
}

static noinline __cold u32 run_with_statistics(const struct bpf_prog *prog, const void *ctx)
{
	return bpf_prog_run(prog, ctx);
}

/* bpf_prog_run(), without saving registers for statistics that are off nearly always. */
static __always_inline u32 run(const struct bpf_prog *prog, const void *ctx)
{
	if (static_branch_unlikely(&bpf_stats_enabled_key))
		return run_with_statistics(prog, ctx);
	return bpf_dispatcher_nop_func(ctx, prog->insnsi, prog->bpf_func);
}

static __always_inline int run_xdp(lua_State *L, const struct bpf_prog *prog, u16 nargs)
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	int verdict;

	begin(&replica->call, nargs);
	verdict = run(prog, replica->packet->xdp);
	replica = lunatik_replica_of(L);
	end(&replica->call);
	lunatik_packet_update_xdp(replica->packet);
	return verdict;
}

/*
 * Nobody has pointers to where they are now, so there they need not stay: a script that
 * has them moved again and again would fill the memory. What was prepared is used up,
 * and until the callback has ended nothing is.
 */
static noinline __cold int moved(struct lunatik_packet *packet, int verdict)
{
	packet->moved = true;
	lunatik_keep_later(packet->skb);
	return verdict;
}

/*
 * The program that called us may have pointers into the packet, and this one may
 * move its bytes. They stay where they were until that one has returned, which it
 * does under RCU. keep: they have not been moved yet.
 */
static __always_inline int run_tc(lua_State *L, const struct bpf_prog *prog, u16 nargs, bool keep)
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	struct sk_buff *skb = replica->packet->skb;
	struct lunatik_packet *packet;
	int verdict;

	if (keep)
		lunatik_keep_begin(skb);
	begin(&replica->call, nargs);
	verdict = run(prog, skb);
	replica = lunatik_replica_of(L);
	end(&replica->call);
	packet = replica->packet;
	skb = packet->skb;
	lunatik_packet_update_skb(packet);
	packet->layout.known = false;
	if (keep && unlikely(lunatik_keep_has_moved(skb)))
		return moved(packet, verdict);
	if (keep)
		lunatik_keep_end();
	return verdict;
}

static noinline int push_result(lua_State *L)
{
	lunatik_push_integer(L, lunatik_replica_of(L)->call.result);
	return 2;
}

/*
 * prog(pkt, ...): its verdict and, if it set one, its result. What is needed after the
 * run is found anew then, and whatever is rare is called last: so there is hardly a
 * register to be saved, for each packet.
 */
static __always_inline int prog_run(lua_State *L, u16 nargs, bool xdp, bool keep)
{
	const struct lunatik_object *object = lunatik_upvalue(L);

	if (unlikely(!is_packet(L, xdp)))
		return no_packet(L, xdp);
	if (unlikely(lunatik_stack_left(lunatik_guard(L)) < object->stack))
		return stack_overflow(L);
	/*
	 * The program that called us may have pointers into fragments, which another one
	 * could free.
	 */
	if (xdp && unlikely(xdp_buff_has_frags(lunatik_replica_of(L)->packet->xdp)))
		return in_fragments(L);
	lunatik_push_integer(L, xdp ? run_xdp(L, object->prog, nargs) :
				      run_tc(L, object->prog, nargs, keep));
	if (unlikely(lunatik_replica_of(L)->call.has_result))
		return push_result(L);
	return 1;
}

/* With arguments, or with nothing prepared: the first time, and once bytes have moved. */
static noinline int prog_run_rarely(lua_State *L, bool xdp)
{
	struct lunatik_replica *replica = lunatik_replica_of(L);
	u16 nargs = get_args(L, &replica->call);

	if (xdp)
		return prog_run(L, nargs, true, false);
	/* With a packet in hand bottom halves are off. */
	if (is_packet(L, false)) {
		if (replica->packet->moved)
			return prog_run(L, nargs, false, false);
		if (!lunatik_keep_prepare())
			return lunatik_lib_nomem(L);
	}
	return prog_run(L, nargs, false, true);
}

static __always_inline int prog_call(lua_State *L, bool xdp)
{
	if (L->top.p != L->ci->func.p + 2 || (!xdp && unlikely(!lunatik_keep_is_prepared())))
		return prog_run_rarely(L, xdp);
	return prog_run(L, 0, xdp, !xdp);
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
