// SPDX-License-Identifier: GPL-2.0-only
#include <linux/stringify.h>
#include <net/genetlink.h>
#include <uapi/linux/lunatik.h>

#include "dostring.h"
#include "lua/binary.h"
#include "lua/chunk.h"
#include "lua/load.h"
#include "object.h"
#include "request.h"
#include "run.h"
#include "state.h"
#include "value.h"

struct dostring {
	struct lunatik_run run;
	const struct nlmsghdr *nlh;
	const char *chunk_name;
	int nargs;
	const struct nlattr *code;	/* the only one, or NULL */
	int rem;			/* of the message, from the next attribute on */
	const struct nlattr *next;
	struct lunatik_binary binary;	/* the code, compiled; or nothing */
};

/* A lua_Reader over the CODE attributes. */
static const char *next_code(lua_State *L, void *data, size_t *size)
{
	struct dostring *dostring = data;

	while (nla_ok(dostring->next, dostring->rem)) {
		const struct nlattr *attr = dostring->next;

		dostring->next = nla_next(attr, &dostring->rem);
		if (nla_type(attr) == LUNATIK_A_CODE && nla_len(attr)) {
			*size = nla_len(attr);
			return nla_data(attr);
		}
	}
	*size = 0;
	return NULL;
}

static int load_code(lua_State *L, struct dostring *dostring)
{
	const struct nlattr *code = dostring->code;

	if (dostring->binary.data)
		return lunatik_binary_load(L, &dostring->binary, dostring->chunk_name);
	dostring->next = nlmsg_attrdata(dostring->nlh, GENL_HDRLEN);
	dostring->rem = nlmsg_attrlen(dostring->nlh, GENL_HDRLEN);
	if (code)
		return lunatik_chunk_load(L, nla_data(code), nla_len(code), dostring->chunk_name);
	return lunatik_load(L, next_code, dostring, dostring->chunk_name, "t");
}

/* Pushes the compiled code, or raises an error. */
static void push_code(lua_State *L, struct dostring *dostring, struct lunatik_run *run)
{
	int status = load_code(L, dostring);

	if (status == LUA_OK)
		return;
	if (status != LUA_ERRMEM)
		run->error = -ENOEXEC;
	lua_error(L);
}

struct compile {
	struct lunatik_run run;
	struct dostring *dostring;
};

static int compile_body(lua_State *L)
{
	struct compile *compile = lua_touserdata(L, 1);

	push_code(L, compile->dostring, &compile->run);
	lunatik_binary_dump(L, &compile->dostring->binary, lunatik_state_of(L)->max_alloc);
	return 0;
}

/* Compiles where no packet waits. */
static int dostring_prepare(struct lunatik_state *state, struct lunatik_run *run, u64 now, u64 end,
			    u32 timeout)
{
	struct dostring *dostring = container_of(run, struct dostring, run);
	struct compile compile = {
		.run.body	= compile_body,
		.run.reply	= run->reply,
		.run.may_sleep	= true,
		.dostring	= dostring,
	};

	return lunatik_run_apart(state, &compile.run, now, end, timeout);
}

static int dostring_body(lua_State *L)
{
	struct dostring *dostring = lua_touserdata(L, 1);
	struct lunatik_reply *reply;

	lua_settop(L, 0);
	lunatik_objects_note(lunatik_state_of(L));
	push_code(L, dostring, &dostring->run);
	if (dostring->nargs)
		lunatik_value_push(L, dostring->nlh, dostring->nargs);
	lua_call(L, dostring->nargs, LUA_MULTRET);
	/* A pcall() that was the last thing to run may have caught the deadline. */
	lunatik_poll(L);
	reply = lunatik_run_reply(&dostring->run);
	if (reply)
		lunatik_value_put(L, 1, reply);
	return 0;
}

/* Gives the CODE attribute if there is only one. */
static int check_code(struct genl_info *info, const struct nlattr **only)
{
	const struct nlattr *attr;
	size_t total = 0;
	int rem, count = 0;

	if (GENL_REQ_ATTR_CHECK(info, LUNATIK_A_CODE))
		return lunatik_refuse(info->extack, NULL, -EINVAL, "CODE is missing");
	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem)
		if (nla_type(attr) == LUNATIK_A_CODE) {
			total += nla_len(attr);
			count++;
		}
	if (total > LUNATIK_CODE_MAX)
		return lunatik_refuse(info->extack, info->attrs[LUNATIK_A_CODE], -EMSGSIZE,
				      "CODE longer than " __stringify(LUNATIK_CODE_MAX) " bytes");
	*only = count == 1 ? info->attrs[LUNATIK_A_CODE] : NULL;
	return 0;
}

int lunatik_dostring(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *chunk_name = info->attrs[LUNATIK_A_CHUNK_NAME];
	struct dostring dostring = {
		.run.body	= dostring_body,
		.run.prepare	= dostring_prepare,
		.run.count	= 1,
		.nlh		= info->nlhdr,
		.chunk_name	= chunk_name ? nla_data(chunk_name) : "=dostring",
	};
	size_t len = strlen(dostring.chunk_name);
	int err;

	if (!len || len > LUNATIK_CHUNK_NAME_MAX)
		return lunatik_refuse(info->extack, chunk_name, len ? -EMSGSIZE : -EINVAL,
				      "CHUNK_NAME must be 1 to " __stringify(LUNATIK_CHUNK_NAME_MAX)
				      " bytes");
	err = check_code(info, &dostring.code);
	if (err)
		return err;
	if (info->attrs[LUNATIK_A_ARG])
		dostring.nargs = lunatik_value_check(info->nlhdr, info->extack);
	if (dostring.nargs < 0)
		return dostring.nargs;
	err = lunatik_request_run(skb, info, &dostring.run, false);
	lunatik_binary_free(&dostring.binary);
	return err;
}
