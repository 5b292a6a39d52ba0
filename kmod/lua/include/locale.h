/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_LOCALE_H
#define LUNATIK_LOCALE_H
#endif
