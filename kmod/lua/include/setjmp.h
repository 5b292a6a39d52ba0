/* SPDX-License-Identifier: GPL-2.0-only */
/* See ../setjmp_x86_64.S */
#ifndef LUNATIK_SETJMP_H
#define LUNATIK_SETJMP_H

typedef unsigned long jmp_buf[8];

int lunatik_setjmp(jmp_buf buf) __attribute__((returns_twice));
void lunatik_longjmp(jmp_buf buf, int value);

/* A kernel that is linked with libc renames libc's. */
#undef setjmp
#undef longjmp
#define setjmp(buf)		lunatik_setjmp(buf)

#ifdef __SANITIZE_ADDRESS__
#define LUNATIK_JMP_STACK	6	/* where in a jmp_buf the stack pointer is */
void lunatik_unwind(unsigned long to);
#define longjmp(buf, value)	\
	(lunatik_unwind((buf)[LUNATIK_JMP_STACK]), lunatik_longjmp(buf, value))
#else
#define longjmp(buf, value)	lunatik_longjmp(buf, value)
#endif

#endif
