/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the Lua core needs to know of the run that it is part of. Each
 * lua_State's extra space points to its state's guard. No kernel header here:
 * Lua's own sources include this through luaconf.h.
 */
#ifndef LUNATIK_GUARD_H
#define LUNATIK_GUARD_H

struct lua_State;
struct lunatik_image;

/* Kbuild's LUNATIK_UNTIMED leaves the time limit out, to measure what it costs. */
#ifdef LUNATIK_UNTIMED
#define LUNATIK_TIMED	0
#else
#define LUNATIK_TIMED	1
#endif

/* Bits of lunatik_guard.attention */
enum {
	LUNATIK_ATTEND_RESCHED,	/* someone else wants the CPU */
	LUNATIK_ATTEND_LOOK,	/* nothing but the run itself looks at the clock */
	LUNATIK_ATTEND_EXPIRED,	/* the deadline passed */
	LUNATIK_ATTEND_KILLED,	/* the caller has a fatal signal */
	LUNATIK_ATTEND_CLOSING,	/* the state is being closed */
};

struct lunatik_guard {
	unsigned long stack_end;	/* the lowest address of the stack, or 0 outside of runs */
	unsigned long stack_soft;	/* below this address: "C stack overflow" */
	unsigned long stack_hard;	/* below this: not even in handling one */
	unsigned long attention;	/* set by the deadline's timer, an interrupt */
	unsigned long stack_step;	/* stack_soft, or the last address while there is attention */
	struct lua_State *L;		/* the coroutine that runs */
	const struct lunatik_image *image;	/* that the state is a copy of */
	int overflowed;			/* a C stack overflow is being handled */
	int atomic;			/* the run may not sleep */
};

/* With less than so many bytes above stack_end: that error without a position, without a message handler */
extern const unsigned int lunatik_stack_text, lunatik_stack_handler;

static inline struct lunatik_guard *lunatik_guard(const struct lua_State *L)
{
	return ((struct lunatik_guard **)L)[-1];
}

static inline int lunatik_cstack_low(const struct lua_State *L)
{
	return (unsigned long)__builtin_frame_address(0) < lunatik_guard(L)->stack_soft;
}

/* Raises an error where the stack is low, unless one is being handled. */
void lunatik_cstack_check(struct lua_State *L);

static inline void lunatik_need_cstack(struct lua_State *L)
{
	if (__builtin_expect(lunatik_cstack_low(L), 0))
		lunatik_cstack_check(L);
}

/* Keeps the texts of such errors, for there may be no memory for them. */
void lunatik_cstack_open(struct lua_State *L);

/* Does what attention asks for; may raise a Lua error. */
void lunatik_attend(struct lua_State *L);

/* For C functions that loop for long without running Lua code; may raise. */
static inline void lunatik_poll(struct lua_State *L)
{
	if (LUNATIK_TIMED &&
	    __builtin_expect(*(volatile unsigned long *)&lunatik_guard(L)->attention != 0, 0))
		lunatik_attend(L);
}

/* lua_resume() and lua_closethread() that keep guard->L right. */
int lunatik_resume(struct lua_State *L, struct lua_State *from, int narg, int *nres);
int lunatik_closethread(struct lua_State *L, struct lua_State *from);

/* A step of the pattern matcher, one comparison for stack and time: may raise. */
void lunatik_match_attend(struct lua_State *L);

static inline void lunatik_match_step(struct lua_State *L)
{
	const unsigned long *limit = &lunatik_guard(L)->stack_step;

	if (__builtin_expect((unsigned long)__builtin_frame_address(0) <
			     *(const volatile unsigned long *)limit, 0))
		lunatik_match_attend(L);
}

/* lunatik_poll() without a lua_State at hand, which takes longer. */
void lunatik_poll_running(void);

/*
 * Takes message handlers away from the errors up to the next pcall, for a
 * handler could run on; callable from a hook that will not return.
 */
void lunatik_shed_handlers(struct lua_State *L);

/*
 * When an error is thrown and when it has been caught, maybe before the state is
 * complete. Memory that was refused for want of stack is no want of memory: then
 * this throws another error.
 */
void lunatik_cstack_thrown(struct lua_State *L, int status);
void lunatik_cstack_caught(struct lua_State *L);

/* Whether memory was last refused for want of C stack. */
int lunatik_lacked_stack(const struct lua_State *L);

#endif
