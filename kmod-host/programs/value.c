// SPDX-License-Identifier: GPL-2.0-only
/* Values on the wire, into a state and out of it. */
#include <stdio.h>
#include <stdlib.h>

#include "kernel.h"
#include "lua/lunatik_lua.h"
#include "module.h"
#include "test.h"

static struct lunatik_state *state;
static struct host_request request;
static struct host_answer answer;

static void begin(void)
{
	state = host_state_new(64 << 20);
	host_request_init(&request);
}

static void end(void)
{
	host_request_free(&request);
	host_state_free(state);
	CHECK_EQ(host_memory.blocks, 0);
	CHECK_EQ(host_lnet.charged.counter, 0);
}

static void again(void)
{
	host_request_free(&request);
	host_request_init(&request);
}

static int run(const char *code)
{
	host_dostring(state, code, strlen(code), &request, &answer);
	return answer.err;
}

static void arg(int type, const void *data, size_t len)
{
	host_request_arg(&request, type, data, len);
}

static void integer(s64 value)
{
	arg(LUNATIK_V_INTEGER, &value, sizeof(value));
}

static void string(const char *text)
{
	arg(LUNATIK_V_STRING, text, strlen(text));
}

static void table(void)
{
	arg(LUNATIK_V_TABLE, NULL, 0);
}

static void table_end(void)
{
	arg(LUNATIK_V_END, NULL, 0);
}

/* A value in a form in which equal values are equal texts. */
struct text {
	char *data;
	size_t len, size;
};

static int compare(const void *a, const void *b)
{
	const struct text *first = a, *second = b;
	int result = memcmp(first->data, second->data, min(first->len, second->len));

	return result ?: (first->len > second->len) - (first->len < second->len);
}

static void append(struct text *text, const void *data, size_t len)
{
	if (text->len + len >= text->size) {
		text->size = 2 * (text->len + len) + 16;
		text->data = realloc(text->data, text->size);
		CHECK(text->data);
	}
	if (len)
		memcpy(text->data + text->len, data, len);
	text->len += len;
}

struct reader {
	const struct nlattr *next;
	int rem;
};

static struct text read_value(struct reader *reader, int *type);

/* Entries sorted, for Lua has them in any order. */
static struct text read_table(struct reader *reader)
{
	struct text *entries = NULL, text = { 0 };
	size_t count = 0, i;

	for (;;) {
		int type;
		struct text key = read_value(reader, &type), value;

		if (type == LUNATIK_V_END) {
			free(key.data);
			break;
		}
		value = read_value(reader, &type);
		CHECK(type != LUNATIK_V_END);
		append(&key, "=", 1);
		append(&key, value.data, value.len);
		free(value.data);
		entries = realloc(entries, (count + 1) * sizeof(*entries));
		CHECK(entries);
		entries[count++] = key;
	}
	if (count)
		qsort(entries, count, sizeof(*entries), compare);
	append(&text, "{", 1);
	for (i = 0; i < count; i++) {
		append(&text, entries[i].data, entries[i].len);
		append(&text, ",", 1);
		free(entries[i].data);
	}
	append(&text, "}", 1);
	free(entries);
	return text;
}

static struct text read_value(struct reader *reader, int *type)
{
	const struct nlattr *inner = nla_data(reader->next);
	struct text text = { 0 };

	CHECK(nla_ok(reader->next, reader->rem));
	CHECK(nla_ok(inner, nla_len(reader->next)));
	CHECK_EQ(NLA_ALIGN(inner->nla_len), nla_len(reader->next));
	reader->next = nla_next(reader->next, &reader->rem);
	*type = nla_type(inner);
	switch (*type) {
	case LUNATIK_V_TABLE:
		return read_table(reader);
	case LUNATIK_V_TEXT:
		append(&text, "text", 4);
		return text;
	}
	append(&text, &"0nbise"[*type], 1);
	append(&text, nla_data(inner), nla_len(inner));
	return text;
}

static struct text read_all(const void *attrs, size_t len)
{
	struct reader reader = { attrs, len };
	struct text text = { 0 };

	while (reader.rem > 0) {
		int type;
		struct text value = read_value(&reader, &type);

		CHECK(type != LUNATIK_V_END);
		append(&text, value.data, value.len);
		append(&text, ";", 1);
		free(value.data);
	}
	return text;
}

/* What went in came out. */
static void check_echo(void)
{
	size_t skip = NLMSG_HDRLEN + GENL_HDRLEN;
	struct text in = read_all(request.data + skip, request.len - skip);
	struct text out = read_all(answer.attrs, answer.len);

	CHECK_EQ(in.len, out.len);
	CHECK(!in.len || !memcmp(in.data, out.data, in.len));
	free(in.data);
	free(out.data);
}

static void check_result(const char *expected)
{
	struct text out = read_all(answer.attrs, answer.len);

	if (out.len != strlen(expected) || memcmp(out.data, expected, out.len))
		FAIL("%.*s instead of %s", (int)out.len, out.data, expected);
	free(out.data);
	host_answer_free(&answer);
}

static void generate(int depth);

static void generate_table(int depth)
{
	int i, count = test_below(6);

	table();
	for (i = 0; i < count; i++) {
		char name[16];

		/* Each key once. */
		switch (test_below(3)) {
		case 0:
			integer(i);
			break;
		case 1:
			integer((test_random() & ~7ULL) + i);
			break;
		case 2:
			snprintf(name, sizeof(name), "%c%d", (char)(1 + test_below(255)), i);
			arg(LUNATIK_V_STRING, name, test_below(4) ? strlen(name) : sizeof(name));
			break;
		}
		generate(depth + 1);
	}
	table_end();
}

static void generate(int depth)
{
	static const size_t lengths[] = { 0, 1, 3, 4, 39, 40, 41, 255, 1000, LUNATIK_STRING_MAX };
	static const s64 integers[] = { 0, 1, -1, LLONG_MAX, LLONG_MIN, 1LL << 32, -(1LL << 31) };
	size_t i, len;
	char *text;
	u8 boolean;

	switch (test_below(depth < LUNATIK_TABLE_DEPTH ? 6 : 3)) {
	case 0:
		boolean = test_below(2);
		arg(LUNATIK_V_BOOLEAN, &boolean, sizeof(boolean));
		break;
	case 1:
		integer(test_below(2) ? integers[test_below(ARRAY_SIZE(integers))] : (s64)test_random());
		break;
	case 2:
		len = test_below(8) ? test_below(50) : lengths[test_below(ARRAY_SIZE(lengths))];
		text = malloc(len);
		for (i = 0; i < len; i++)
			text[i] = test_random();
		arg(LUNATIK_V_STRING, text, len);
		free(text);
		break;
	default:
		generate_table(depth);
	}
}

static void round_trip(const void *data)
{
	int i, j;

	begin();
	for (i = 0; i < 300; i++) {
		int count = test_below(6);

		again();
		for (j = 0; j < count; j++) {
			if (test_below(10))
				generate(0);
			else
				arg(LUNATIK_V_NIL, NULL, 0);
		}
		CHECK_EQ(run("return ..."), 0);
		check_echo();
		host_answer_free(&answer);
	}
	end();
}

static void each_type(const void *data)
{
	u8 yes = 1, no = 0;

	begin();
	arg(LUNATIK_V_NIL, NULL, 0);
	arg(LUNATIK_V_BOOLEAN, &yes, 1);
	arg(LUNATIK_V_BOOLEAN, &no, 1);
	integer(0x3837363534333231);
	string("");
	string("ab");
	table();
	table_end();
	CHECK_EQ(run("return ..."), 0);
	check_echo();
	host_answer_free(&answer);
	end();
}

static void types_are_lua_types(const void *data)
{
	u8 yes = 1;

	begin();
	arg(LUNATIK_V_NIL, NULL, 0);
	arg(LUNATIK_V_BOOLEAN, &yes, 1);
	integer(-5);
	string("x");
	table();
	string("k");
	integer(7);
	table_end();
	CHECK_EQ(run("local a, b, c, d, e = ... assert(select('#', ...) == 5) assert(a == nil and b == true) "
		     "assert(math.type(c) == 'integer' and c == -5 and d == 'x') "
		     "assert(next(e) == 'k' and next(e, 'k') == nil and e.k == 7) "
		     "return 'done'"), 0);
	check_result("sdone;");
	end();
}

static void no_values(const void *data)
{
	begin();
	CHECK_EQ(run("return ..."), 0);
	CHECK_EQ(answer.len, 0);
	host_answer_free(&answer);
	CHECK_EQ(run("return nil, nil"), 0);
	check_result("n;n;");
	end();
}

static void nil_values_are_no_entries(const void *data)
{
	begin();
	table();
	string("a");
	arg(LUNATIK_V_NIL, NULL, 0);
	string("b");
	integer(0x3030303030303030);
	table_end();
	CHECK_EQ(run("return ..."), 0);
	check_result("{sb=i00000000,};");
	end();
}

/* The deepest table that does not cross is a text. */
static void check_depth(int depth)
{
	bool fits = depth <= LUNATIK_TABLE_DEPTH;
	char expected[200] = "";
	int i, tables = fits ? depth : LUNATIK_TABLE_DEPTH;

	for (i = 0; i < tables; i++)
		strcat(expected, "{st=");
	strcat(expected, fits ? "sdeep" : "text");
	for (i = 0; i < tables; i++)
		strcat(expected, ",}");
	strcat(expected, ";");
	check_result(expected);
}

static void nesting(const void *data)
{
	int depth, i;

	begin();
	for (depth = 1; depth <= LUNATIK_TABLE_DEPTH + 2; depth++) {
		char code[100];

		again();
		for (i = 0; i < depth; i++) {
			table();
			string("t");
		}
		string("deep");
		for (i = 0; i < depth; i++)
			table_end();
		if (depth <= LUNATIK_TABLE_DEPTH) {
			CHECK_EQ(run("return ..."), 0);
			check_echo();
		} else {
			CHECK_EQ(run("return ..."), -EINVAL);
			CHECK(strstr(answer.extack._msg, "nest deeper than 8"));
		}
		host_answer_free(&answer);
		again();
		snprintf(code, sizeof(code), "local t = 'deep' for i = 1, %d do t = {t = t} end return t",
			 depth);
		CHECK_EQ(run(code), 0);
		check_depth(depth);
	}
	end();
}

static void keys_may_be_tables(const void *data)
{
	begin();
	table();
	table();
	string("in");
	table();
	table_end();
	table_end();
	table();
	table_end();
	table_end();
	CHECK_EQ(run("return ..."), 0);
	check_result("{{sin={},}={},};");
	end();
}

static void cycles(const void *data)
{
	begin();
	CHECK_EQ(run("local t = {} t.t = t return t"), 0);
	check_result("{st=text,};");
	CHECK_EQ(run("local t = {} t[t] = t return t"), 0);
	check_result("{text=text,};");
	CHECK_EQ(run("local a, b = {}, {} a.b, b.a = b, a return a, b"), 0);
	check_result("{sb={sa=text,},};{sa={sb=text,},};");
	CHECK_EQ(run("local t = {} return {a = t, b = t}, t"), 0);
	check_result("{sa={},sb={},};{};");
	CHECK_EQ(run("return _G"), 0);
	host_answer_free(&answer);
	end();
}

static void what_cannot_cross(const void *data)
{
	begin();
	CHECK_EQ(run("return print, function() end, coroutine.create(print), {f = print}"), 0);
	check_result("text;text;text;{sf=text,};");
	CHECK_EQ(run("return setmetatable({}, {__tostring = error, __index = error, __pairs = error, "
		     "__len = error, __metatable = 1})"), 0);
	check_result("{};");
	CHECK_EQ(run("local t = setmetatable({}, {__tostring = function() return {} end}) t.t = t return t"),
		 -EREMOTEIO);
	host_answer_free(&answer);
	/* It runs while the table is walked, and may change it. */
	CHECK_EQ(run("local t = {} for i = 1, 8 do local m = setmetatable({}, {__tostring = function(m) "
		     "for k in pairs(t) do t[k] = nil end collectgarbage() return 'x' end}) "
		     "m[1] = m t[i] = {{{{{{{{m}}}}}}}} end return t"), 0);
	host_answer_free(&answer);
	run("local t = {} for i = 1, 8 do t[i] = setmetatable({}, {__tostring = function() "
	    "for j = 1, 1000 do t[j .. 'x'] = j end return 'x' end}) t[i][1] = t[i] end return t");
	/* Which entries are seen then, or that one cannot go on, is up to next(). */
	CHECK(!answer.err || answer.err == -EREMOTEIO);
	host_answer_free(&answer);
	end();
}

static void large_strings(const void *data)
{
	char *text = malloc(65535);
	static const size_t lengths[] = { LUNATIK_STRING_MAX - 1, LUNATIK_STRING_MAX,
					  LUNATIK_STRING_MAX + 1, 65520 };
	unsigned int i;

	memset(text, 'x', 65535);
	begin();
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		bool fits = lengths[i] <= LUNATIK_STRING_MAX;
		char code[100];

		again();
		arg(LUNATIK_V_STRING, text, lengths[i]);
		CHECK_EQ(run("return ..."), fits ? 0 : -EMSGSIZE);
		if (fits)
			check_echo();
		else
			CHECK(strstr(answer.extack._msg, "string longer than"));
		host_answer_free(&answer);
		again();
		snprintf(code, sizeof(code), "return ('x'):rep(%d)", (int)lengths[i]);
		CHECK_EQ(run(code), fits ? 0 : -EMSGSIZE);
		host_answer_free(&answer);
		snprintf(code, sizeof(code), "return {[('x'):rep(%d)] = {}}", (int)lengths[i]);
		CHECK_EQ(run(code), fits ? 0 : -EMSGSIZE);
		host_answer_free(&answer);
	}
	CHECK_EQ(run("return ('x'):rep(10000000)"), -EMSGSIZE);
	host_answer_free(&answer);
	free(text);
	end();
}

/* Every size around those at which messages grow and split. */
static void replies_of_any_size(const void *data)
{
	int i;

	begin();
	for (i = 0; i < 400; i++) {
		char code[200];
		u64 size = test_below(4) ? test_below(3000) : test_below(LUNATIK_STRING_MAX + 1);
		u64 count = 1 + test_below(4 + 300000 / (size + 100));

		snprintf(code, sizeof(code),
			 "local t, s = {...}, ('x'):rep(%llu) for i = 1, %llu do t[i] = s end "
			 "return table.unpack(t)", size, count);
		if (run(code)) {
			CHECK_EQ(answer.err, -EMSGSIZE);
			CHECK(count * nla_total_size(nla_total_size(size)) > LUNATIK_REPLY_MAX);
		} else {
			CHECK_EQ(answer.len, count * nla_total_size(nla_total_size(size)));
		}
		host_answer_free(&answer);
	}
	end();
}

static void the_largest_reply(const void *data)
{
	size_t len;

	begin();
	/* 16 of these, with their two headers, are 1 MiB. */
	CHECK_EQ(run("local t, s = {}, ('x'):rep(61440) for i = 1, 17 do t[i] = s end "
		     "return t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9], t[10], t[11], t[12], "
		     "t[13], t[14], t[15], t[16], t[17], ('x'):rep(1048576 - 17 * 61448 - 8)"), 0);
	CHECK_EQ(answer.len, LUNATIK_REPLY_MAX);
	host_answer_free(&answer);
	CHECK_EQ(run("local t, s = {}, ('x'):rep(61440) for i = 1, 17 do t[i] = s end "
		     "t[18] = ('x'):rep(1048576 - 17 * 61448 - 7) return table.unpack(t)"), -EMSGSIZE);
	CHECK(host_answer_find(&answer, LUNATIK_A_ERROR, &len));
	host_answer_free(&answer);
	end();
}

static void many_arguments(const void *data)
{
	int i;

	begin();
	for (i = 0; i < 20000; i++)
		integer(i);
	CHECK_EQ(run("return ..."), 0);
	check_echo();
	host_answer_free(&answer);
	end();
}

/* What the check refuses though each attribute by itself is right. */
static void unbalanced(const void *data)
{
	static const struct {
		const char *encoding;	/* one letter for each ARG */
		const char *message;	/* NULL: all right */
	} tests[] = {
		{ "", NULL }, { "i", NULL }, { "{}", NULL }, { "{ii}", NULL }, { "{i{}}", NULL },
		{ "{{}i}", NULL }, { "{in}", NULL }, { "n", NULL }, { "{ib}n{}", NULL },
		{ "}", "END without TABLE" }, { "i}", "END without TABLE" },
		{ "{}}", "END without TABLE" }, { "{", "TABLE without END" },
		{ "{ii", "TABLE without END" }, { "{{}", "TABLE without END" },
		{ "{i}", "key that has no value" }, { "{iii}", "key that has no value" },
		{ "{{}}", "key that has no value" }, { "{{i}i}", "key that has no value" },
		{ "{ni}", "nil cannot be a key" }, { "{iini}", "nil cannot be a key" },
		{ "{{{{{{{{{", "nest deeper" },
	};
	unsigned int i;

	begin();
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		const char *letter;
		u8 boolean = 1;

		again();
		for (letter = tests[i].encoding; *letter; letter++) {
			switch (*letter) {
			case '{': table(); break;
			case '}': table_end(); break;
			case 'i': integer(letter - tests[i].encoding); break;
			case 'n': arg(LUNATIK_V_NIL, NULL, 0); break;
			case 'b': arg(LUNATIK_V_BOOLEAN, &boolean, 1); break;
			}
		}
		if (run("return ...") != (tests[i].message ? -EINVAL : 0))
			FAIL("%s: %d", tests[i].encoding, answer.err);
		if (tests[i].message && !strstr(answer.extack._msg, tests[i].message))
			FAIL("%s: %s", tests[i].encoding, answer.extack._msg);
		host_answer_free(&answer);
	}
	end();
}

static void not_one_value(const void *data)
{
	struct nlattr *inner;

	begin();
	host_request_put(&request, LUNATIK_A_ARG | NLA_F_NESTED, NULL, 0);
	CHECK_EQ(run("return ..."), -EINVAL);
	CHECK(strstr(answer.extack._msg, "exactly one value"));
	CHECK(answer.extack.bad_attr);
	host_answer_free(&answer);
	again();
	inner = host_request_put(&request, LUNATIK_A_ARG | NLA_F_NESTED, NULL, 8);
	inner[0] = inner[1] = (struct nlattr){ NLA_HDRLEN, LUNATIK_V_NIL };
	CHECK_EQ(run("return ..."), -EINVAL);
	CHECK(strstr(answer.extack._msg, "exactly one value"));
	host_answer_free(&answer);
	/* No padding behind the last. */
	again();
	inner = host_request_put(&request, LUNATIK_A_ARG | NLA_F_NESTED, NULL, 5);
	*inner = (struct nlattr){ 5, LUNATIK_V_STRING };
	memcpy(inner + 1, "x", 1);
	CHECK_EQ(run("return ..."), 0);
	check_result("sx;");
	/* What has left cannot come back. */
	again();
	arg(LUNATIK_V_TEXT, "x", 1);
	CHECK_EQ(run("return ..."), -EPROTO);
	host_answer_free(&answer);
	end();
}

static void mutate(void)
{
	size_t skip = NLMSG_HDRLEN + GENL_HDRLEN;
	int i, count = 1 + test_below(4);

	for (i = 0; i < count && request.len > skip; i++) {
		size_t place = skip + test_below(request.len - skip);

		switch (test_below(4)) {
		case 0:
			request.data[place] = test_random();
			break;
		case 1:
			request.data[place] ^= 1 << test_below(8);
			break;
		case 2:	/* a header's place, likely */
			request.data[place & ~3ULL] = test_below(12);
			break;
		case 3:
			request.len -= test_below(min(request.len - skip, (size_t)12) + 1);
			break;
		}
	}
}

static void mutated(const void *data)
{
	int i, j, run_at_all = 0, refused = 0;

	begin();
	for (i = 0; i < 20000; i++) {
		int count = 1 + test_below(3);

		again();
		for (j = 0; j < count; j++)
			generate(test_below(3) ? 6 : 3);
		mutate();
		if (run("return ...") == 0) {
			struct text text = read_all(answer.attrs, answer.len);

			free(text.data);
			run_at_all++;
		} else if (answer.err == -EINVAL) {
			CHECK(answer.extack._msg);
			refused++;
		} else {
			CHECK(answer.err == -EPROTO || answer.err == -EMSGSIZE);
		}
		host_answer_free(&answer);
	}
	printf("%d run, %d refused by the check\n", run_at_all, refused);
	CHECK(run_at_all && refused);
	end();
}

static void truncated(const void *data)
{
	size_t skip = NLMSG_HDRLEN + GENL_HDRLEN, len, cut;

	begin();
	generate_table(5);
	generate_table(6);
	len = request.len;
	for (cut = skip; cut < len; cut += 1 + len / 3000) {
		struct host_request part = { malloc(len), cut, len };

		memcpy(part.data, request.data, cut);
		host_dostring(state, "return ...", 10, &part, &answer);
		CHECK(answer.err == 0 || answer.err == -EPROTO || answer.err == -EINVAL);
		host_answer_free(&answer);
		host_request_free(&part);
	}
	end();
}

static void without_memory(const void *data)
{
	u64 nth, more;
	int i;

	begin();
	for (i = 0; i < 3; i++)
		generate_table(5);
	string("and text");
	for (more = 0; more < 2; more++) {
		for (nth = 1;; nth++) {
			int err;

			host_fail(nth, more ? 1000000 : 0);
			err = run("return {...}, function() end, ...");
			host_fail_none();
			/* The latter is netlink's, which gives a long reply out in parts. */
			CHECK(!err || err == -ENOMEM || err == -ENOBUFS);
			host_answer_free(&answer);
			CHECK_EQ(run("return ..."), 0);
			check_echo();
			host_answer_free(&answer);
			if (!err && more)
				break;
			if (!more && nth > 500)
				break;
		}
	}
	end();
}

static const struct test_case cases[] = {
	TEST(round_trip),
	TEST(each_type),
	TEST(types_are_lua_types),
	TEST(no_values),
	TEST(nil_values_are_no_entries),
	TEST(nesting),
	TEST(keys_may_be_tables),
	TEST(cycles),
	TEST(what_cannot_cross),
	TEST(large_strings),
	TEST(replies_of_any_size),
	TEST(the_largest_reply),
	TEST(many_arguments),
	TEST(unbalanced),
	TEST(not_one_value),
	TEST(mutated),
	TEST(truncated),
	TEST(without_memory),
	{ }
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, cases);
}
