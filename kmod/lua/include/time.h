/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_TIME_H
#define LUNATIK_TIME_H
#endif
