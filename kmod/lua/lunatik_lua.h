/* SPDX-License-Identifier: GPL-2.0-only */
/* Lua's API for the module's own sources; include it after kernel headers. */
#ifndef LUNATIK_LUA_H
#define LUNATIK_LUA_H

#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"

#endif
