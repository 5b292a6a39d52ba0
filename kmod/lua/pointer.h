/* SPDX-License-Identifier: GPL-2.0-only */
/* Scripts learn no address, neither from a text nor from the order of things. */
#ifndef LUNATIK_POINTER_H
#define LUNATIK_POINTER_H

/* For where an object goes in a table: random, the second one odd. */
extern unsigned long lunatik_pointer_key[2];

/* What is shown in a pointer's place: the same for the same pointer. */
const void *lunatik_hidden_pointer(const void *pointer);

/* Once, before the first state. */
void lunatik_pointer_init(void);

#endif
