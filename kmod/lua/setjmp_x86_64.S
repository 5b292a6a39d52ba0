/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * setjmp() and longjmp() for code that runs in one kernel context from end to
 * end: the callee-saved registers, the stack pointer and the return address.
 * longjmp() leaves through RET, with the target on the stack, so that return
 * thunks apply and no indirect jump needs an ENDBR at the target.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>

SYM_FUNC_START(lunatik_setjmp)
	movq	(%rsp), %rax
	leaq	8(%rsp), %rcx
	movq	%rbx, 0(%rdi)
	movq	%rbp, 8(%rdi)
	movq	%r12, 16(%rdi)
	movq	%r13, 24(%rdi)
	movq	%r14, 32(%rdi)
	movq	%r15, 40(%rdi)
	movq	%rcx, 48(%rdi)
	movq	%rax, 56(%rdi)
	xorl	%eax, %eax
	RET
SYM_FUNC_END(lunatik_setjmp)

SYM_FUNC_START(lunatik_longjmp)
	movl	%esi, %eax
	movq	0(%rdi), %rbx
	movq	8(%rdi), %rbp
	movq	16(%rdi), %r12
	movq	24(%rdi), %r13
	movq	32(%rdi), %r14
	movq	40(%rdi), %r15
	movq	56(%rdi), %rdx
	movq	48(%rdi), %rsp
	pushq	%rdx
	RET
SYM_FUNC_END(lunatik_longjmp)
STACK_FRAME_NON_STANDARD lunatik_longjmp
