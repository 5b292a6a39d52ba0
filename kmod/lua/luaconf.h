/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How Lua is configured for the kernel: 64-bit integers and nothing else.
 *
 * The kernel does not use the FPU, so lua_Number is an integer type too. No
 * value with the float tag ever comes to be: numerals with a fraction or an
 * exponent do not lex, the operators that make floats raise, and so do the few
 * library functions that would push one (see lib_config.h).
 */
#ifndef luaconf_h
#define luaconf_h

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include "guard.h"

#define LUAI_IS32INT		1

/* Integers */
#define LUA_INT_TYPE		3
#define LUA_INTEGER		long long
#define LUA_UNSIGNED		unsigned long long
#define LUAI_UACINT		LUA_INTEGER
#define LUA_INTEGER_FRMLEN	"ll"
#define LUA_INTEGER_FMT		"%lld"
#define LUA_MAXINTEGER		LLONG_MAX
#define LUA_MININTEGER		LLONG_MIN
#define LUA_MAXUNSIGNED		ULLONG_MAX
#define lua_integer2str(s, sz, n)	snprintf((s), (sz), LUA_INTEGER_FMT, (LUAI_UACINT)(n))

/* "Floats" */
#define LUA_FLOAT_TYPE		0
#define LUA_NUMBER		long long
#define LUAI_UACNUMBER		long long
#define LUA_NUMBER_FRMLEN	"ll"
#define LUA_NUMBER_FMT		"%lld"
#define LUA_NUMBER_FMT_N	"%lld"
#define l_floatatt(n)		LUNATIK_FLOAT_##n
#define LUNATIK_FLOAT_MANT_DIG	63
#define LUNATIK_FLOAT_DIG	18
#define LUNATIK_FLOAT_MAX_10_EXP	18
#define HUGE_VAL		LLONG_MAX
#define l_mathop(op)		(lua_Number)op
#define l_floor(x)		(x)
#define l_hashfloat(n)		((int)(n))

/* A numeral that is no integer ends where it began: malformed. */
static inline long long lunatik_str2number(const char *s, char **end)
{
	if (end)
		*end = (char *)s;
	return 0;
}
#define lua_str2number(s, p)	lunatik_str2number(s, p)
#define lua_strx2number(s, p)	lua_str2number(s, p)
#define lua_number2strx(L, b, sz, f, n)	\
	((void)(b), (void)(f), (void)(n), (int)lunatik_nofloat(L, "a hexadecimal float"))

/*
 * Float arithmetic raises. The folding of constants is kept away from it by
 * code_config.h, so that `return 1/2` compiles and fails when it runs.
 */
struct lua_State;
long long lunatik_nofloat(struct lua_State *L, const char *what);
#define luai_numdiv(L, a, b)	((void)(a), (void)(b), lunatik_nofloat(L, "'/'"))
#define luai_numpow(L, a, b)	((void)(a), (void)(b), lunatik_nofloat(L, "'^'"))
#define luai_numidiv(L, a, b)	((void)(a), (void)(b), lunatik_nofloat(L, "'//'"))
#define luai_nummod(L, a, b, m)	((m) = ((void)(a), (void)(b), lunatik_nofloat(L, "'%'")))

/*
 * Names that C code gave lately, by their address. Scripts give theirs otherwise,
 * and each collection clears the lot.
 */
#define STRCACHE_N	8
#define STRCACHE_M	1

/* Slots of a Lua stack. */
#define LUAI_MAXSTACK	1000000

/* libc */
#define l_sprintf(s, sz, f, i)	snprintf(s, sz, f, i)
const void *lunatik_hidden_pointer(const void *pointer);
#define lua_pointer2str(buff, sz, p)	snprintf(buff, sz, "%p", lunatik_hidden_pointer(p))
#define lua_getlocaledecpoint()	'.'
#define l_strcoll		strcmp
#define lua_writestring(s, l)	((void)(s), (void)(l))
#define lua_writeline()		((void)0)
#define lua_writestringerror(s, p)	((void)(s), (void)(p))
#define luai_makeseed()		get_random_u32()
#define l_randomizePivot(L)	((void)(L), get_random_u32())
unsigned int get_random_u32(void);

/*
 * Errors unwind with our setjmp. Some are, and all end, the handling of a C stack
 * overflow (cstack.c).
 */
#define LUAI_THROW(L, c)	(lunatik_cstack_thrown(L, (c)->status), longjmp((c)->b, 1))
#define LUAI_TRY(L, c, f, ud)				\
	do {						\
		if (setjmp((c)->b) == 0)		\
			(f)((L), (ud));			\
		else					\
			lunatik_cstack_caught(L);	\
	} while (0)

/*
 * The depth of C calls is bounded by the stack that is left, not only by their
 * number: with too little of it the limit falls to what every call exceeds
 * (not below 2, which luaD_checkminstack() subtracts from it).
 */
#define LUAI_MAXCCALLS		(lunatik_cstack_low(L) ? 2 : LUNATIK_MAXCCALLS)
#define LUNATIK_MAXCCALLS	200
#define MAXCCALLS		LUNATIK_MAXCCALLS	/* lstrlib: nested matches */

/*
 * objtool has its own list of functions that do not return, and all others had
 * better not be known as such to the compiler.
 */
#define l_noret			void

#define LUA_KCONTEXT		intptr_t
#define LUA_EXTRASPACE		(sizeof(void *))	/* struct lunatik_guard * */
#define LUA_IDSIZE		60
#define LUAL_BUFFERSIZE		256
#define LUAI_MAXALIGN		lua_Number n; void *s; lua_Integer i; long l

#define LUA_API			extern
#define LUALIB_API		LUA_API
#define LUAMOD_API		LUA_API
#define LUAI_FUNC		extern
#define LUAI_DDEC(dec)		LUAI_FUNC dec
#define LUAI_DDEF

/* Includes ljumptab.h, which is ours: no computed gotos. */
#define LUA_USE_JUMPTABLE	1

/* A global declaration is the one word of Lua 5.5 that old scripts may use. */
#define LUA_COMPAT_GLOBAL	1

#ifndef luai_likely
#define luai_likely(x)		__builtin_expect(((x) != 0), 1)
#endif
#ifndef luai_unlikely
#define luai_unlikely(x)	__builtin_expect(((x) != 0), 0)
#endif

/* Named in headers that nobody looks at here. */
#define LUA_PATH_SEP		";"
#define LUA_PATH_MARK		"?"
#define LUA_EXEC_DIR		"!"
#define LUA_IGMARK		"-"
#define LUA_DIRSEP		"/"

#endif
