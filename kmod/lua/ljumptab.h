/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How lvm.c's loop goes from one instruction to the next, and finds its operands;
 * included in luaV_execute(), behind lvm.c's macros.
 *
 * Lua's file of this name has a table of labels and a `goto *`. In the kernel that
 * is a retpoline, whose target no CPU foresees: few instructions, and three times
 * the time. Here are direct jumps only. Behind each instruction those that often
 * follow are tried first, with a comparison each, and the switch finds the others.
 */
#include "vm_next.h"

#undef vmdispatch
#undef vmcase
#undef vmbreak

#define vm_try(o) \
	if (GET_OPCODE(i) == OP_##o) \
		goto do_OP_##o;
#define vm_after(o) \
		break; \
	case OP_##o:

/* From `traced` on, lvm.c's own vmfetch does what the hook wants. */
#define vmdispatch(o) \
	if (0) { \
traced: \
		continue; \
	} \
	VM_FIRST(vm_try) \
dispatch: \
	switch (o)

/*
 * Which instruction a vmbreak belongs to is told by a type, for there are gotos
 * into some of the bodies, and past a variable's value.
 */
#define vmcase(l) \
	case l: \
	do_##l: __attribute__((unused)); \
		for (char (*vm_op)[(l) + 1] __attribute__((unused));;)
#define vm_this()	((OpCode)(sizeof(*vm_op) - 1))

/*
 * Instructions that neither jump nor call, so that a loop always has others: behind
 * them nobody looks whether there is a hook. They do not move the stack either.
 */
#define vm_straight(o) \
	((o) <= OP_SETUPVAL || (OP_ADDI <= (o) && (o) <= OP_SHR) || (o) == OP_NOT)

#define vmbreak { \
	if (!vm_straight(vm_this()) && l_unlikely(trap)) \
		goto traced; \
	i = *pc++; \
	switch (vm_this()) { \
	default: \
	VM_NEXT(vm_after, vm_try) \
	} \
	goto dispatch; \
}

/* Operands: an index becomes an offset while it is taken out of the instruction. */
#undef RA
#undef RB
#undef KB
#undef RC
#undef KC
#undef RKC

#define vm_slot_bits	4
_Static_assert(sizeof(StackValue) == 1 << vm_slot_bits, "a stack slot");
_Static_assert(sizeof(TValue) == 1 << vm_slot_bits, "a constant");

#define vm_offset(i, pos, max)	(((i) >> ((pos) - vm_slot_bits)) & ((max) << vm_slot_bits))
#define vm_at(type, from, offset)	((type)((char *)(from) + (offset)))

#define RA(i)	vm_at(StkId, base, vm_offset(i, POS_A, MAXARG_A))
#define RB(i)	vm_at(StkId, base, vm_offset(i, POS_B, MAXARG_B))
#define KB(i)	vm_at(TValue *, k, vm_offset(i, POS_B, MAXARG_B))
#define RC(i)	vm_at(StkId, base, vm_offset(i, POS_C, MAXARG_C))
#define KC(i)	vm_at(TValue *, k, vm_offset(i, POS_C, MAXARG_C))
#define RKC(i)	(TESTARG_k(i) ? KC(i) : s2v(RC(i)))

/* All numbers are integers, and the operands of most instructions numbers. */
#undef ttisinteger
#undef ttisfloat
#define ttisinteger(o)	l_likely(checktag((o), LUA_VNUMINT))
#define ttisfloat(o)	((void)(o), 0)
