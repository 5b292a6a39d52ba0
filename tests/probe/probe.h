/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of the probe: each is a file in /proc. */
#ifndef LUNATIK_PROBE_H
#define LUNATIK_PROBE_H

int probe_stack_init(void);
void probe_stack_exit(void);

int probe_stall_init(void);
void probe_stall_exit(void);

/* Of user-mode Linux: call.c */
int probe_call_init(void);
void probe_call_exit(void);

/* Of others: irq.c */
int probe_irq_init(void);
void probe_irq_exit(void);

#endif
