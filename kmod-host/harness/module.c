// SPDX-License-Identifier: GPL-2.0-only
/* What the rest of the module does for the parts that are here. */
#include <stdio.h>
#include <stdlib.h>
#include <linux/ktime.h>
#include <linux/netdevice.h>
#include <linux/slab.h>

#include "event.h"
#include "kernel.h"
#include "lib/lib.h"
#include "lua/chunk.h"
#include "lua/image.h"
#include "lua/pointer.h"
#include "module.h"
#include "netlink.h"
#include "object.h"
#include "params.h"
#include "reply.h"
#include "run.h"
#include "session.h"
#include "test.h"
#include "value.h"

struct genl_family lunatik_family;
u64 host_max_total_alloc = 1ULL << 40;

static struct net_device eth0 = { .ifindex = 2, .name = "eth0" };
static struct net_device lo = { .next = &eth0, .ifindex = 1, .name = "lo" };
static struct net net = { .ns.inum = 4026531840U, .devices = &lo };
struct lunatik_net host_lnet = { .net = &net };

struct lunatik_net *lunatik_net(const struct net *of)
{
	CHECK(of == &net);
	return &host_lnet;
}

u64 lunatik_max_total_alloc(void)
{
	return host_max_total_alloc;
}

bool lunatik_netns_charge(struct lunatik_net *lnet, u32 bytes)
{
	if ((u64)atomic64_read(&lnet->charged) + bytes > host_max_total_alloc)
		return false;
	atomic64_add_return(bytes, &lnet->charged);
	return true;
}

void lunatik_netns_uncharge(struct lunatik_net *lnet, u32 bytes)
{
	CHECK((u64)atomic64_read(&lnet->charged) >= bytes);
	atomic64_sub(bytes, &lnet->charged);
}

void lunatik_event_log(struct lunatik_replica *replica, const struct lunatik_log_line *line)
{
	/* Anyone may read it from now on. */
	CHECK_EQ(line->sequence, replica->state->log.last);
}

void lunatik_event_failed(struct lunatik_replica *replica, int error, const char *message,
			  size_t len)
{
	CHECK(error > 0);
	CHECK(message || !len);
}

int lunatik_session_publish(struct lunatik_replica *replica, const char *data, size_t len)
{
	void *message = kmalloc(len + 1, GFP_KERNEL);

	if (!message)
		return -ENOMEM;
	memcpy(message, data, len);
	kfree(message);
	return 1;
}

int lunatik_state_lock(struct lunatik_state *state, u64 end, u64 *now)
{
	CHECK(!state->locked);
	state->locked = 1;
	return 0;
}

void lunatik_state_unlock(struct lunatik_state *state)
{
	CHECK(state->locked);
	state->locked = 0;
}

int lunatik_state_rest(struct lunatik_state *state, u64 then, u64 end)
{
	FAIL("no state is bound");
}

bool lunatik_state_bound(const struct lunatik_state *state)
{
	return false;
}

/* Packets come without the kernel, but no hooks. */
void lunatik_hooks_reap(struct lunatik_state *state)
{
}

u64 lunatik_hook_register(lua_State *L, const struct lunatik_hook_spec *spec)
{
	return luaL_error(L, "%s: there are no packets here", spec->name);
}

bool lunatik_hook_unregister(lua_State *L, u64 id)
{
	FAIL("nothing was registered");
}

bool lunatik_hook_is_registered(lua_State *L, u64 id)
{
	FAIL("nothing was registered");
}

/* Nor are there eBPF programs or maps. */
void lunatik_objects_free(struct lunatik_replica *replica)
{
	CHECK(replica->objects.next == &replica->objects);
}

int lunatik_lib_open_bpf(lua_State *L)
{
	return luaL_error(L, "there is no eBPF here");
}

void lunatik_packet_open(lua_State *L)
{
}

/* Nor do timers. */
void lunatik_timers_init(struct lunatik_timers *timers)
{
}

void lunatik_timers_catch_up(struct lunatik_replica *replica)
{
	FAIL("no state is bound");
}

void lunatik_timer_push(lua_State *L, u64 ms, bool again)
{
	luaL_error(L, "there are no timers here");
}

/* The namespace is there as long as there is a state. */
static unsigned int nstates;

static void state_uninit(struct lunatik_state *state)
{
	free(state);
	if (!--nstates) {
		lunatik_image_free(host_lnet.image);
		host_lnet.image = NULL;
	}
}

struct lunatik_state *host_state_new(u32 max_alloc)
{
	struct lunatik_state *state;

	if (!nstates++)
		lunatik_pointer_init();
	state = calloc(1, sizeof(*state) + sizeof(struct lunatik_replica));
	CHECK(state);
	state->lnet = &host_lnet;
	state->timeout = 1000000;
	strcpy(state->name, "host");
	state->nreplicas = 1;
	lunatik_log_init(&state->log);
	if (lunatik_replica_init(&state->replicas[0], state, max_alloc, 0)) {
		state_uninit(state);
		return NULL;
	}
	return state;
}

void host_state_free(struct lunatik_state *state)
{
	lunatik_replica_uninit(&state->replicas[0], 0);
	state_uninit(state);
}

#define HEADERS	(NLMSG_HDRLEN + GENL_HDRLEN)

void host_request_init(struct host_request *request)
{
	request->size = HEADERS;
	request->len = HEADERS;
	request->data = calloc(1, HEADERS);
	CHECK(request->data);
}

void host_request_free(struct host_request *request)
{
	free(request->data);
}

void *host_request_put(struct host_request *request, int type, const void *data, size_t len)
{
	size_t total = nla_total_size(len);
	struct nlattr *attr;

	if (request->len + total > request->size) {
		request->size = 2 * request->size + total;
		request->data = realloc(request->data, request->size);
		CHECK(request->data);
	}
	attr = (struct nlattr *)(request->data + request->len);
	memset(attr, 0, total);
	attr->nla_type = type;
	attr->nla_len = nla_attr_size(len);
	if (data && len)
		memcpy(nla_data(attr), data, len);
	request->len += total;
	return nla_data(attr);
}

void host_request_arg(struct host_request *request, int type, const void *data, size_t len)
{
	struct nlattr *attr = host_request_put(request, LUNATIK_A_ARG | NLA_F_NESTED, NULL,
					       nla_total_size(len));

	attr->nla_type = type;
	attr->nla_len = nla_attr_size(len);
	if (len)
		memcpy(nla_data(attr), data, len);
}

const struct nlmsghdr *host_request_message(struct host_request *request)
{
	struct nlmsghdr *nlh;

	request->data = realloc(request->data, request->len);
	request->size = request->len;
	nlh = (struct nlmsghdr *)request->data;
	nlh->nlmsg_len = request->len;
	return nlh;
}

struct dostring {
	struct lunatik_run run;
	const struct nlmsghdr *nlh;
	const char *code;
	size_t len;
	int nargs;
};

/* As the one in dostring.c */
static int body(lua_State *L)
{
	struct dostring *dostring = lua_touserdata(L, 1);
	int status;

	lua_settop(L, 0);
	status = lunatik_chunk_load(L, dostring->code, dostring->len, "=dostring");
	if (status != LUA_OK) {
		if (status != LUA_ERRMEM)
			dostring->run.error = -ENOEXEC;
		return lua_error(L);
	}
	if (dostring->nargs)
		lunatik_value_push(L, dostring->nlh, dostring->nargs);
	lua_call(L, dostring->nargs, LUA_MULTRET);
	lunatik_poll(L);
	lunatik_value_put(L, 1, lunatik_run_reply(&dostring->run));
	return 0;
}

/* All messages' attributes, one after the other; the headers must be right. */
static void join(struct host_answer *answer, bool multi)
{
	struct sk_buff *skb;

	skb_queue_walk(&answer->messages, skb) {
		size_t done = 0;

		while (done < skb->len) {
			struct nlmsghdr *nlh = (struct nlmsghdr *)(skb->data + done);
			size_t len = nlh->nlmsg_len - HEADERS;

			CHECK(nlh->nlmsg_len >= HEADERS && nlh->nlmsg_len <= skb->len - done);
			CHECK(nlh->nlmsg_len <= LUNATIK_MESSAGE_MAX);
			CHECK_EQ(nlh->nlmsg_flags, multi ? NLM_F_MULTI : 0);
			answer->attrs = realloc(answer->attrs, answer->len + len + 1);
			CHECK(answer->attrs);
			memcpy(answer->attrs + answer->len, skb->data + done + HEADERS, len);
			answer->len += len;
			done += nlh->nlmsg_len;
		}
	}
}

/* Whether the request is one that generic netlink passes on. */
static bool valid(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;
	int rem;

	nlmsg_for_each_attr(attr, nlh, GENL_HDRLEN, rem) {
		if (attr->nla_type != (LUNATIK_A_ARG | NLA_F_NESTED))
			return false;
		if (nla_len(attr) && nla_len(attr) < NLA_HDRLEN)
			return false;
		if (!host_validate(nla_data(attr), nla_len(attr), lunatik_value_policy,
				   LUNATIK_V_MAX))
			return false;
	}
	return rem <= 0;
}

void host_dostring(struct lunatik_state *state, const char *code, size_t len,
		   struct host_request *args, struct host_answer *answer)
{
	struct genlmsghdr genlhdr = { .cmd = LUNATIK_CMD_DOSTRING };
	struct genl_info info = { .genlhdr = &genlhdr, .net = &net, .extack = &answer->extack };
	struct dostring dostring = { .run.body = body, .code = code, .len = len };
	struct lunatik_reply reply;
	u64 now = ktime_get_ns();

	memset(answer, 0, sizeof(*answer));
	__skb_queue_head_init(&answer->messages);
	__skb_queue_head_init(&info.sent);
	net.genl_sock = (struct sock *)&info;
	if (args) {
		dostring.nlh = host_request_message(args);
		if (!valid(dostring.nlh)) {
			answer->err = -EPROTO;
			return;
		}
		dostring.nargs = lunatik_value_check(dostring.nlh, &answer->extack);
		if (dostring.nargs < 0) {
			answer->err = dostring.nargs;
			return;
		}
	}
	lunatik_reply_init(&reply, NULL, &info);
	dostring.run.reply = &reply;
	dostring.run.count = 1;
	host_stack(1 << 20);
	answer->err = lunatik_run(state, &dostring.run, now,
				  now + state->timeout * NSEC_PER_USEC, state->timeout);
	answer->err = lunatik_reply_send(&reply, answer->err);
	skb_queue_splice_init(&info.sent, &answer->messages);
	join(answer, answer->err == -EINTR);
	if (answer->err == -EINTR)
		answer->err = info.ended;
	CHECK(!host_timer);
	CHECK_EQ(lua_gettop(state->replicas[0].L), 0);
}

void host_answer_free(struct host_answer *answer)
{
	__skb_queue_purge(&answer->messages);
	free(answer->attrs);
}

const char *host_answer_find(const struct host_answer *answer, int type, size_t *len)
{
	const struct nlattr *attr;
	int rem;

	nla_for_each_attr(attr, (struct nlattr *)answer->attrs, answer->len, rem) {
		if (nla_type(attr) == type) {
			*len = nla_len(attr);
			return nla_data(attr);
		}
	}
	return NULL;
}

int host_run(struct lunatik_state *state, const char *code, bool loud)
{
	struct host_answer answer;
	int err, type;

	host_dostring(state, code, strlen(code), NULL, &answer);
	err = answer.err;
	for (type = LUNATIK_A_ERROR; err && loud && type <= LUNATIK_A_TRACEBACK; type++) {
		size_t len;
		const char *text = host_answer_find(&answer, type, &len);

		if (text)
			printf("%.*s\n", (int)len, text);
	}
	fflush(stdout);
	host_answer_free(&answer);
	return err;
}
