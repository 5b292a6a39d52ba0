/* SPDX-License-Identifier: GPL-2.0-only */
/* What scripts find in a state: Lua's own libraries, cut to size, and ours. */
#ifndef LUNATIK_LIB_H
#define LUNATIK_LIB_H

#include "../lua/lunatik_lua.h"
#include "../stack.h"

struct lunatik_hook_spec;
struct lunatik_replica;

/* A fresh lua_State in the replica's heap. May sleep. NULL without memory. */
lua_State *lunatik_lib_newstate(struct lunatik_replica *replica);
void lunatik_lib_closestate(struct lunatik_replica *replica);

/* Pushes the function given to lunatik.receive(); false, and nothing, without one. */
bool lunatik_lib_push_receiver(lua_State *L);

/* A lua_Alloc, as lunatik_heap_lua_alloc(), for what is called by scripts. */
void *lunatik_lib_alloc(void *heap, void *ptr, size_t osize, size_t nsize);

/* Raises the error that the core raises without memory. */
static inline int lunatik_lib_nomem(lua_State *L)
{
	lua_pushliteral(L, "not enough memory");
	return lua_error(L);
}

/* Before a library function sends or logs: raises an error where the stack is low. */
static inline void lunatik_lib_need_kernel(lua_State *L)
{
	if (lunatik_stack_left(lunatik_guard(L)) < LUNATIK_STACK_KERNEL)
		luaL_error(L, "C stack overflow");
}

/* Each is a lua_CFunction that returns its library's table. */
int lunatik_lib_open_math(lua_State *L);
int lunatik_lib_open_lunatik(lua_State *L);
int lunatik_lib_open_netfilter(lua_State *L);
int lunatik_lib_open_tc(lua_State *L);
int lunatik_lib_open_xdp(lua_State *L);
int lunatik_lib_open_linux(lua_State *L);
int lunatik_lib_open_data(lua_State *L);
int lunatik_lib_open_bpf(lua_State *L);
int lunatik_lib_open_address(lua_State *L);

/*
 * Pushes what makes a module that is written in Lua: kmod/lib/packet/. False, and
 * nothing, if there is none of that name.
 */
bool lunatik_lib_push_script(lua_State *L, const char *name);

/*
 * Makes the userdata on top of the stack a handle of that type, for luaL_checkudata(): close
 * is called at the end of a variable that is <close>. Raises memory errors.
 */
void lunatik_lib_set_handle(lua_State *L, const char *name, const luaL_Reg *methods,
			    lua_CFunction tostring, lua_CFunction close);

/* Registers the function on top of the stack and pushes a handle instead. Raises errors. */
int lunatik_lib_push_hook(lua_State *L, const struct lunatik_hook_spec *spec);

/* Replace parts of the base library and add `package` and `require`. */
void lunatik_lib_amend_base(lua_State *L);

#endif
