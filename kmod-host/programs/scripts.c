// SPDX-License-Identifier: GPL-2.0-only
/*
 * The scripts of scripts/, each as it is, in a state that runs out of memory at
 * each of its allocations, and with its time up in each.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <linux/sched.h>

#include "kernel.h"
#include "lua/lunatik_lua.h"
#include "module.h"
#include "test.h"

#define FOLDER	"scripts"

static char *read_script(const char *name)
{
	char path[300], *text;
	FILE *file;
	long size;

	snprintf(path, sizeof(path), FOLDER "/%s.lua", name);
	file = fopen(path, "r");
	if (!file)
		FAIL("no %s", path);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	text = calloc(1, size + 1);
	CHECK(fread(text, 1, size, file) == (size_t)size);
	fclose(file);
	return text;
}

static struct lunatik_state *begin(void)
{
	struct lunatik_state *state = host_state_new(2 << 20);

	CHECK(state);
	return state;
}

static void end(struct lunatik_state *state)
{
	host_state_free(state);
	CHECK_EQ(host_memory.blocks, 0);
	CHECK_EQ(host_lnet.charged.counter, 0);
}

static void usable(struct lunatik_state *state)
{
	static const char code[] =
		/* These are much in a small state. */
		"for name in next, package.loaded do "
		"if name:find('^packet') then package.loaded[name] = nil end end collectgarbage() "
		"local t = {} for i = 1, 20 do t[i] = ('x'):rep(i) .. i end collectgarbage() "
		"assert(not pcall(error, t)) assert(coroutine.wrap(function() coroutine.yield(1) end)() == 1) "
		"return #table.concat(t)";

	CHECK_EQ(host_run(state, code, true), 0);
}

static void plain(const void *name)
{
	static const char *const modes[] = { "generational", "incremental" };
	char *code = read_script(name);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		struct lunatik_state *state = begin();
		char mode[100];
		int again;

		snprintf(mode, sizeof(mode), "collectgarbage('%s')", modes[i]);
		CHECK_EQ(host_run(state, mode, true), 0);
		for (again = 0; again < 2; again++)
			CHECK_EQ(host_run(state, code, true), 0);
		/* All garbage at once at each step. */
		CHECK_EQ(host_run(state, "collectgarbage('incremental') collectgarbage('param', 'pause', 0) "
				  "collectgarbage('param', 'stepmul', 10000)", true), 0);
		CHECK_EQ(host_run(state, code, true), 0);
		usable(state);
		end(state);
	}
	free(code);
}

/* Emergency collections, and then errors, everywhere. */
static void out_of_memory(const char *name, u64 more)
{
	char *code = read_script(name);
	u64 nth, failed = 0;
	int err = -1;

	for (nth = 1; err; nth += 1 + nth / 100) {
		struct lunatik_state *state = begin();
		u64 before = host_memory.allocations;

		host_fail(nth, more);
		err = host_run(state, code, false);
		host_fail_none();
		if (err && err != -ENOMEM && err != -EREMOTEIO)
			FAIL("allocation %llu failed: %d", nth, err);
		failed += !!err;
		/* Where one failure is borne, it is the end that tells. */
		if (!err && host_memory.allocations - before >= nth)
			err = 1;
		usable(state);
		end(state);
	}
	printf("%llu allocations, %llu runs failed\n", nth, failed);
	/* One failure ends in a collection, and what asked gets its memory. */
	CHECK(failed || !more);
	CHECK(nth > 20);
	free(code);
}

static void memory_fails_once(const void *name)
{
	out_of_memory(name, 0);
}

static void memory_fails(const void *name)
{
	out_of_memory(name, 1 << 30);
}

/* With the least memory that a state may have, and a bit more. */
static void small_states(const void *name)
{
	char *code = read_script(name);
	u32 max;

	for (max = LUNATIK_MAX_ALLOC_MIN; max < 400000; max += max / 16) {
		struct lunatik_state *state = host_state_new(max);
		int err;

		CHECK(state);
		err = host_run(state, code, false);
		CHECK(!err || err == -ENOMEM || err == -EREMOTEIO);
		CHECK(state->replicas[0].heap.peak <= max);
		usable(state);
		end(state);
	}
	free(code);
}

static void time_is_up(const void *name)
{
	char *code = read_script(name);
	u64 nth, before, ended = 0;

	for (nth = 1;; nth += 1 + nth / 100) {
		struct lunatik_state *state = begin();
		int err;

		before = host_memory.allocations;
		host_memory.tick_at = before + nth;
		host_now = 1000000000;
		err = host_run(state, code, false);
		host_memory.tick_at = 0;
		host_now = 1000000000;
		if (err && err != -ETIME)
			FAIL("time is up in allocation %llu: %d", nth, err);
		ended += !!err;
		CHECK_EQ(state->replicas[0].deadline_kills, !!err);
		before = host_memory.allocations - before;
		usable(state);
		end(state);
		if (nth > before)
			break;
	}
	printf("%llu allocations, %llu runs ended\n", before, ended);
	CHECK(ended);
	free(code);
}

static void interrupt(int signal)
{
	(void)signal;
	host_task.resched = true;
	host_tick();
}

/* Someone else wants the CPU, at any time. */
static void interrupts(const void *name)
{
	struct itimerval often = { { 0, 100 }, { 0, 100 } }, never = { 0 };
	char *code = read_script(name);
	int i;

	CHECK(signal(SIGALRM, interrupt) != SIG_ERR);
	for (i = 0; i < 10; i++) {
		struct lunatik_state *state = begin();

		CHECK(!setitimer(ITIMER_REAL, &often, NULL));
		CHECK_EQ(host_run(state, code, true), 0);
		CHECK(!setitimer(ITIMER_REAL, &never, NULL));
		end(state);
	}
	free(code);
}

static void new_state(const void *data)
{
	struct lunatik_state *state;
	u64 nth, more;

	for (more = 0; more < 2; more++) {
		for (nth = 1;; nth++) {
			u64 before = host_memory.allocations;

			host_fail(nth, more << 30);
			state = host_state_new(1 << 20);
			host_fail_none();
			before = host_memory.allocations - before;
			if (state) {
				usable(state);
				end(state);
			}
			CHECK_EQ(host_memory.blocks, 0);
			CHECK_EQ(host_lnet.charged.counter, 0);
			if (nth > before)
				break;
		}
	}
	state = host_state_new(LUNATIK_MAX_ALLOC_MIN);
	CHECK(state);
	end(state);
}

/* Less and less C stack: an error, never an overflow. */
static void little_stack(const void *data)
{
	static const char *const codes[] = {
		"local function f() return 1 + f() end f()",
		"for i = 1, 3 do assert(not pcall(function() local function f() return 1 + f() end f() end)) end",
		"local t = setmetatable({}, {__index = function(t, k) return t[k .. 'x'] end}) return t.x",
		"local function f(s) return (s:gsub('.', f)) end f('aa')",
		"local f f = function() return coroutine.wrap(f)() end f()",
		"return load(('('):rep(1000) .. '1' .. (')'):rep(1000)) or error('C stack overflow')",
		"return load('return ' .. ('{'):rep(1000) .. ('}'):rep(1000)) or error('C stack overflow')",
		"return (('a'):rep(3000):find(('a?'):rep(3000) .. 'b'))",
		"local t = {} t.__tostring = function(x) return tostring(x) end return tostring(setmetatable({}, t))",
		"local function f() return pcall(f) end return f()",
		"return xpcall(error, function(e) error(e) end)",
		"local function close() local x <close> = setmetatable({}, {__close = close}) end close()",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		struct lunatik_state *state = begin();
		int err = host_run(state, codes[i], false);

		CHECK(!err || err == -EREMOTEIO || err == -ENOMEM);
		usable(state);
		end(state);
	}
}

static const struct {
	const char *suffix;
	void (*run)(const void *name);
} kinds[] = {
	{ "", plain },
	{ "_memory_fails_once", memory_fails_once },
	{ "_memory_fails", memory_fails },
	{ "_small_states", small_states },
	{ "_time_is_up", time_is_up },
	{ "_interrupts", interrupts },
};

int main(int argc, char **argv)
{
	static struct test_case cases[200] = { TEST(new_state), TEST(little_stack) };
	struct dirent **files;
	unsigned int next = 2, kind;
	int i, count = scandir(FOLDER, &files, NULL, alphasort);

	if (count < 0)
		FAIL("no folder " FOLDER);
	for (i = 0; i < count; i++) {
		char *dot = strrchr(files[i]->d_name, '.');

		if (!dot || strcmp(dot, ".lua"))
			continue;
		*dot = 0;
		for (kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
			static char names[ARRAY_SIZE(cases)][100];

			CHECK(next < ARRAY_SIZE(cases) - 1);
			strcpy(names[next], files[i]->d_name);
			strcat(names[next], kinds[kind].suffix);
			cases[next].name = names[next];
			cases[next].run = kinds[kind].run;
			cases[next].data = files[i]->d_name;
			next++;
		}
	}
	i = test_main(argc, argv, cases);
	while (count--)
		free(files[count]);
	free(files);
	return i;
}
