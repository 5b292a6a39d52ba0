/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LUNATIK_MATH_H
#define LUNATIK_MATH_H

/* Of the bound under which a float would be a constant: no float, no bound. */
#define ldexp(x, e)	((void)(e), (x))

#endif
