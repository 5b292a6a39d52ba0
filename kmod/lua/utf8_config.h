/* SPDX-License-Identifier: GPL-2.0-only */
/* Included before lutf8lib.c, in addition to lib_config.h. */
#ifndef LUNATIK_UTF8_CONFIG_H
#define LUNATIK_UTF8_CONFIG_H

#include "lib_config.h"
#include "llimits.h"

/* utf8.len() says this once for each character. */
#undef ct_diff2S
#define ct_diff2S(df)	(lunatik_poll(L), cast_st2S(ct_diff2sz(df)))

#endif
