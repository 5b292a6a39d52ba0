// SPDX-License-Identifier: GPL-2.0-only
/* Shares of a CPU, and a clock that goes back. */
#include <linux/ktime.h>

#include "clock.h"
#include "deadline.h"
#include "kernel.h"
#include "module.h"
#include "netns.h"
#include "share.h"
#include "test.h"

#define MS	NSEC_PER_MSEC

static struct lunatik_shares shares, others;
static struct lunatik_net other;

static void begin(void)
{
	host_lnet.shares = &shares;
	other.shares = &others;
	host_now = 3600000 * MS;
}

static u64 hooks_rest(struct lunatik_net *lnet)
{
	u64 start = host_now, rest;

	while (lunatik_share_used_up(lnet))
		host_now += MS / 100;
	rest = host_now - start;
	host_now = start;
	return rest;
}

/* Takes what it gets, in runs of so long, for a second. */
static u64 taken(u64 run, void (*charge)(struct lunatik_net *lnet, u64 ticks),
		 bool (*may)(struct lunatik_net *lnet))
{
	u64 end = host_now + 1000 * MS, ran = 0;

	while (host_now < end) {
		if (may(&host_lnet)) {
			host_now += run;
			ran += run;
			charge(&host_lnet, run);
		} else {
			host_now += MS / 10;
		}
	}
	return ran / MS;
}

static bool hooks_may(struct lunatik_net *lnet)
{
	return !lunatik_share_used_up(lnet);
}

static bool requests_may(struct lunatik_net *lnet)
{
	return !lunatik_share_requests_rest(lnet);
}

static bool timers_may(struct lunatik_net *lnet)
{
	return !lunatik_share_timers_rest(lnet);
}

static void as_much_as_is_said(const void *data)
{
	u64 ran;

	begin();
	ran = taken(MS, lunatik_share_charge_hooks, hooks_may);
	CHECK(ran >= 740 && ran <= 750 + 10);
	CHECK(!lunatik_share_used_up(&other));
	ran = taken(10 * MS, lunatik_share_charge_requests, requests_may);
	CHECK(ran >= 740 && ran <= 750 + 20);
	ran = taken(10 * MS, lunatik_share_charge_timers, timers_may);
	CHECK(ran >= 490 && ran <= 500 + 20);
}

/* Those that had nothing of late need not wait for other namespaces'. */
static void timers_of_two(const void *data)
{
	u64 rest;

	begin();
	host_now += 100 * MS;
	lunatik_share_charge_timers(&host_lnet, 100 * MS);
	rest = lunatik_share_timers_rest(&host_lnet);
	CHECK_EQ(rest, 90 * MS);
	CHECK_EQ(lunatik_share_timers_rest(&other), 0);
	/* Alone it would have to wait for itself, and together they wait for both. */
	host_now += 10 * MS;
	lunatik_share_charge_timers(&other, 10 * MS);
	CHECK_EQ(lunatik_share_timers_rest(&host_lnet), 100 * MS);
	CHECK_EQ(lunatik_share_timers_rest(&other), 100 * MS);
	host_now += 100 * MS;
	CHECK_EQ(lunatik_share_timers_rest(&host_lnet), 0);
}

/* A debt that only grows would outlast by far who made it. */
static void no_debt_is_endless(const void *data)
{
	int i;

	begin();
	for (i = 0; i < 1000; i++) {
		host_now += 1000 * MS;
		lunatik_share_charge_timers(&host_lnet, 1000 * MS);
	}
	CHECK(lunatik_share_timers_rest(&host_lnet) < 16000 * MS);
	lunatik_share_charge_hooks(&host_lnet, ~0ULL);
	CHECK(hooks_rest(&host_lnet) < 16000 * MS);
}

/* What was reckoned by a clock that has gone back since is over. */
static void after_the_clock_went_back(const void *data)
{
	u64 now;

	begin();
	host_now += 100 * MS;
	lunatik_share_charge_hooks(&host_lnet, 100 * MS);
	lunatik_share_charge_requests(&host_lnet, 100 * MS);
	lunatik_share_charge_timers(&host_lnet, 100 * MS);
	CHECK(lunatik_share_used_up(&host_lnet));
	CHECK(lunatik_share_requests_rest(&host_lnet));
	CHECK(lunatik_share_timers_rest(&host_lnet));
	now = host_now;
	host_now = 5 * MS;
	CHECK(!lunatik_share_used_up(&host_lnet));
	CHECK(!lunatik_share_requests_rest(&host_lnet));
	CHECK(!lunatik_share_timers_rest(&host_lnet));
	/* It counts from there. */
	host_now += 100 * MS;
	lunatik_share_charge_hooks(&host_lnet, 100 * MS);
	CHECK_EQ(hooks_rest(&host_lnet) / MS, 23);
	/* And so it does where it goes on far ahead. */
	host_now = now + 1000000 * MS;
	CHECK(!lunatik_share_used_up(&host_lnet));
}

/* A run that is under way then ends at the next look. */
static void a_run_while_the_clock_goes_back(const void *data)
{
	struct lunatik_state *state = host_state_new(1 << 20);
	struct lunatik_deadline *deadline = &state->replicas[0].deadline;

	begin();
	host_stack(8192);
	CHECK_EQ(lunatik_deadlines_init(), 0);
	lunatik_deadline_enter_atomic(deadline, state->replicas[0].L, 10 * MS, 10000);
	host_now += 5 * MS;
	host_tick();
	CHECK_EQ(deadline->guard.attention, 0);
	CHECK_EQ(lunatik_deadline_left(deadline, host_now), 5 * MS);
	host_now = 5 * MS;
	CHECK_EQ(lunatik_deadline_left(deadline, host_now), 0);
	host_tick();
	CHECK_EQ(lunatik_deadline_error(deadline), -ETIME);
	/* It is watched as closely as before. */
	CHECK(host_timer->expires <= (ktime_t)(host_now + 10 * MS));
	lunatik_deadline_leave_atomic(deadline);
	host_tick();
	/* So is the next one. */
	lunatik_deadline_enter_atomic(deadline, state->replicas[0].L, 10 * MS, 10000);
	host_now += 10 * MS;
	host_tick();
	CHECK_EQ(lunatik_deadline_error(deadline), -ETIME);
	lunatik_deadline_leave_atomic(deadline);
	lunatik_deadlines_uninit();
	host_state_free(state);
}

static const struct test_case cases[] = {
	TEST(as_much_as_is_said),
	TEST(timers_of_two),
	TEST(no_debt_is_endless),
	TEST(after_the_clock_went_back),
	TEST(a_run_while_the_clock_goes_back),
	{ }
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, cases);
}
