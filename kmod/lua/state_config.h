/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before lstate.c: its check of the C stack gives way to cstack.c's.
 */
#ifndef LUNATIK_STATE_CONFIG_H
#define LUNATIK_STATE_CONFIG_H

#define luaE_checkcstack	lunatik_unused_checkcstack
#define luaE_incCstack		lunatik_unused_incCstack

#endif
