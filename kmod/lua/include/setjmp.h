/* SPDX-License-Identifier: GPL-2.0-only */
/* See ../setjmp_x86_64.S */
#ifndef LUNATIK_SETJMP_H
#define LUNATIK_SETJMP_H

typedef unsigned long jmp_buf[8];

int lunatik_setjmp(jmp_buf buf) __attribute__((returns_twice));
void lunatik_longjmp(jmp_buf buf, int value);

#define setjmp(buf)		lunatik_setjmp(buf)
#define longjmp(buf, value)	lunatik_longjmp(buf, value)

#endif
