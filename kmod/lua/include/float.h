/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_FLOAT_H
#define LUNATIK_FLOAT_H
#endif
