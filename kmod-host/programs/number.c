// SPDX-License-Identifier: GPL-2.0-only
/* Integers: from text and to it, their operators, their libraries. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel.h"
#include "lua/lunatik_lua.h"
#include "module.h"
#include "test.h"

typedef __int128 wide;

static struct lunatik_state *state;
static lua_State *L;

static void begin(void)
{
	state = host_state_new(8 << 20);
	L = state->replicas[0].L;
}

static void end(void)
{
	CHECK_EQ(lua_gettop(L), 0);
	host_state_free(state);
	CHECK_EQ(host_memory.blocks, 0);
}

/* libc's, where snprintf() is the kernel's. */
__attribute__((format(printf, 3, 4)))
static int libc_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return len;
}

static lua_Integer some_integer(void)
{
	static const lua_Integer edges[] = {
		0, 1, -1, 2, 9, 10, -10, 255, 256, 1 << 30, INT_MAX, INT_MIN, 1LL << 31, 1LL << 32,
		LLONG_MAX, LLONG_MIN, LLONG_MAX - 1, LLONG_MIN + 1, LLONG_MAX / 10, LLONG_MIN / 10,
	};

	if (!test_below(4))
		return edges[test_below(ARRAY_SIZE(edges))];
	return (lua_Integer)test_random() >> test_below(64);
}

/* A function of the script `code`, on the stack. */
static void function(const char *code)
{
	if (luaL_loadstring(L, code) != LUA_OK)
		FAIL("%s", lua_tostring(L, -1));
}

static void push(lua_Integer n)
{
	lua_pushinteger(L, n);
}

/* Calls the function below n arguments; the result is the error's text or NULL. */
static const char *call(int n)
{
	if (lua_pcall(L, n, 1, 0) == LUA_OK)
		return NULL;
	return lua_tostring(L, -1);
}

static lua_Integer result(void)
{
	lua_Integer n;

	CHECK(lua_isinteger(L, -1));
	n = lua_tointeger(L, -1);
	lua_pop(L, 1);
	return n;
}

/* Calls the function on top of the stack, which stays there. */
static const char *call_copy(int n)
{
	lua_pushvalue(L, -n - 1);
	lua_insert(L, -n - 1);
	return call(n);
}

static void to_text_and_back(const void *data)
{
	static const char *const spaces[] = { "", " ", "\t\n\v\f\r ", "      " };
	int i;

	begin();
	for (i = 0; i < 20000; i++) {
		lua_Integer n = some_integer();
		char expected[30], text[60];

		libc_snprintf(expected, sizeof(expected), "%lld", n);
		push(n);
		if (strcmp(lua_tostring(L, -1), expected))
			FAIL("%s, not %s", lua_tostring(L, -1), expected);
		lua_pop(L, 1);
		libc_snprintf(text, sizeof(text), "%s%s%s%s", spaces[test_below(4)],
			      n >= 0 && test_below(2) ? "+" : "", expected, spaces[test_below(4)]);
		CHECK_EQ(lua_stringtonumber(L, text), strlen(text) + 1);
		CHECK_EQ(result(), n);
	}
	end();
}

/* What Lua takes for an integer, said once more; false: it is none. */
static bool integer_of(const char *s, lua_Integer *n)
{
	static const char spaces[] = " \t\n\v\f\r";
	bool negative, hex, any = false;
	unsigned __int128 value = 0;

	s += strspn(s, spaces);
	negative = *s == '-';
	if (*s == '-' || *s == '+')
		s++;
	hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	if (hex)
		s += 2;
	for (; hex ? isxdigit((u8)*s) : isdigit((u8)*s); s++) {
		any = true;
		if (hex)
			value = (u64)(value << 4 | (isdigit((u8)*s) ? *s - '0' : (*s | 32) - 'a' + 10));
		else if ((value = value * 10 + *s - '0') > (1ULL << 63))
			value = (1ULL << 63) + 1;
	}
	s += strspn(s, spaces);
	if (!any || *s || (!hex && value > (1ULL << 63) - !negative))
		return false;
	*n = negative ? 0 - (u64)value : (u64)value;
	return true;
}

static void check_text(const char *text)
{
	lua_Integer expected, n;
	int is_integer;

	lua_getglobal(L, "tonumber");
	lua_pushstring(L, text);
	CHECK(!call(1));
	n = lua_tointegerx(L, -1, &is_integer);
	if (integer_of(text, &expected) != is_integer || (is_integer && n != expected))
		FAIL("tonumber(\"%s\") is %s", text, luaL_tolstring(L, -1, NULL));
	CHECK(is_integer || lua_isnil(L, -1));
	lua_pop(L, 1);
}

static void any_text(const void *data)
{
	static const char *const texts[] = {
		"", " ", "-", "+", "0x", "-0x", "0x ", "0xg", "1 2", "1-", "--1", "+-1", "0b1", "1e1",
		"1E1", "1.", ".1", "1.0", "0x.1", "0x1p1", "0x1P1", "inf", "nan", "-inf", "NaN",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808",
		"-9223372036854775809", "+9223372036854775808", "18446744073709551616",
		"00000000000000000000000000000009223372036854775807", "0x7fffffffffffffff",
		"0x8000000000000000", "0xffffffffffffffff", "0x10000000000000000",
		"-0xffffffffffffffffffff", "1_000", "1,5", "\xc2\xa0" "1", "1\x01",
	};
	static const char alphabet[] = "0000123456789999aAfFxxXeEpP+--..  \t\n_nNgz";
	unsigned int i;

	begin();
	for (i = 0; i < ARRAY_SIZE(texts); i++)
		check_text(texts[i]);
	for (i = 0; i < 50000; i++) {
		char text[32];
		size_t j, len = test_below(sizeof(text));

		for (j = 0; j < len; j++)
			text[j] = alphabet[test_below(sizeof(alphabet) - 1)];
		text[len] = 0;
		check_text(text);
	}
	end();
}

/* In one piece of digits, of any length: decimal ones overflow, hexadecimal ones wrap around. */
static void digits(const void *data)
{
	static const char set[] = "0123456789abcdefABCDEF";
	int i;

	begin();
	for (i = 0; i < 20000; i++) {
		bool hex = test_below(2);
		size_t j, len = 1 + test_below(test_below(10) ? 24 : 400);
		char text[420] = "";
		int err;
		lua_Integer expected;
		char code[440];

		if (hex)
			strcpy(text, test_below(2) ? "0x" : "0X");
		for (j = 0; j < len; j++)
			strncat(text, &set[test_below(hex ? 22 : 10)], 1);
		check_text(text);
		/* As a numeral. */
		strcpy(code, "return ");
		strcat(code, text);
		err = luaL_loadstring(L, code);
		if (integer_of(text, &expected)) {
			CHECK_EQ(err, LUA_OK);
			CHECK(!call(0));
			CHECK_EQ(result(), expected);
		} else {
			CHECK_EQ(err, LUA_ERRSYNTAX);
			CHECK(strstr(lua_tostring(L, -1), "malformed number near"));
			lua_pop(L, 1);
		}
	}
	end();
}

static void numerals(const void *data)
{
	static const char *const malformed[] = {
		"1.5", "1.", ".5", "1e3", "1E+3", "1e", "1e+", "0x", "0x.8", "0x1p4", "0xg", "3x", "0x1P-2",
		"1..2", "1.2.3", "9223372036854775808", "0b1", "1_0", "08x", "1e99999", "0x1.8p1",
	};
	static const char alphabet[] = "0123456789aAfFxXeEpP+-..uUlL_ ~";
	unsigned int i;

	begin();
	for (i = 0; i < ARRAY_SIZE(malformed); i++) {
		char code[50] = "return ";

		strcat(code, malformed[i]);
		CHECK_EQ(luaL_loadstring(L, code), LUA_ERRSYNTAX);
		if (!strstr(lua_tostring(L, -1), "malformed number near"))
			FAIL("%s: %s", malformed[i], lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	for (i = 0; i < 50000; i++) {
		char code[50] = "return 1";
		size_t j, len = 8 + test_below(20);

		code[7] = '0' + test_below(10);
		for (j = 8; j < len; j++)
			code[j] = alphabet[test_below(sizeof(alphabet) - 1)];
		code[j] = 0;
		/* Whatever compiles gives no float. */
		if (luaL_loadstring(L, code) == LUA_OK && !call(0))
			CHECK(lua_type(L, -1) != LUA_TNUMBER || lua_isinteger(L, -1));
		lua_settop(L, 0);
	}
	end();
}

static void bases(const void *data)
{
	int i;

	begin();
	for (i = 0; i < 50000; i++) {
		unsigned int base = 2 + test_below(35);
		size_t j, len = 1 + test_below(70);
		bool negative = test_below(2);
		char text[100] = "";
		u64 value = 0;

		if (test_below(2))
			strcat(text, " \t");
		if (negative)
			strcat(text, "-");
		for (j = 0; j < len; j++) {
			unsigned int digit = test_below(base);
			char c = digit < 10 ? '0' + digit : 'a' + digit - 10;

			if (test_below(2))
				c = toupper(c);
			strncat(text, &c, 1);
			value = value * base + digit;
		}
		if (test_below(2))
			strcat(text, "\n ");
		lua_getglobal(L, "tonumber");
		lua_pushstring(L, text);
		push(base);
		CHECK(!call(2));
		CHECK_EQ(result(), negative ? 0 - value : value);
		/* A digit too many. */
		lua_getglobal(L, "tonumber");
		if (base < 36) {
			char c = base < 10 ? '0' + base : 'a' + base - 10;

			lua_pushfstring(L, "%s%c", text + strspn(text, " \t-"), c);
		} else {
			lua_pushfstring(L, "%s_", text);
		}
		push(base);
		CHECK(!call(2));
		CHECK(lua_isnil(L, -1));
		lua_pop(L, 1);
	}
	for (i = -1; i <= 38; i++) {
		lua_getglobal(L, "tonumber");
		lua_pushliteral(L, "1");
		push(i);
		CHECK(!call(2) == (i >= 2 && i <= 36));
		lua_pop(L, 1);
	}
	end();
}

static void zeros_in_texts(const void *data)
{
	begin();
	function("for _, s in ipairs{'1\\0', '\\0001', '1\\0002', '\\0', '0x1\\0'} do "
		 "assert(tonumber(s) == nil and tonumber(s, 10) == nil) "
		 "assert(not pcall(function() return s + 1 end)) end return 1");
	CHECK(!call(0));
	CHECK_EQ(result(), 1);
	end();
}

/* Where the kernel's printf is not C's. */
static bool differs(const char *flags, int width, int precision, char conversion, lua_Integer n)
{
	if (precision == 0 && !n)
		return true;
	if (precision >= 0 && strchr(flags, '0') && !strchr(flags, '-') && width > precision)
		return true;
	if (strchr(flags, '#'))
		return !n || (conversion == 'o' && precision >= 0);
	return false;
}

static void format_integers(const void *data)
{
	static const struct {
		char conversion;
		const char *flags;
	} kinds[] = {
		{ 'd', "-+0 " }, { 'i', "-+0 " }, { 'u', "-0" }, { 'o', "-#0" }, { 'x', "-#0" },
		{ 'X', "-#0" },
	};
	int i;

	begin();
	for (i = 0; i < 50000; i++) {
		unsigned int kind = test_below(ARRAY_SIZE(kinds));
		int width = test_below(3) ? (int)test_below(100) : -1;
		int precision = test_below(2) ? (int)test_below(100) : -1;
		lua_Integer n = some_integer();
		char flags[8] = "", spec[40], form[40], expected[200];
		const char *flag;

		for (flag = kinds[kind].flags; *flag; flag++)
			if (!test_below(3))
				strncat(flags, flag, 1);
		sprintf(spec, "%%%s", flags);
		if (width >= (strchr(flags, '0') ? 1 : 0) && width)
			sprintf(spec + strlen(spec), "%d", width);
		else
			width = -1;
		if (precision >= 0)
			sprintf(spec + strlen(spec), ".%d", precision);
		strcpy(form, spec);
		sprintf(form + strlen(form), "ll%c", kinds[kind].conversion);
		sprintf(spec + strlen(spec), "%c", kinds[kind].conversion);
		lua_getglobal(L, "string");
		lua_getfield(L, -1, "format");
		lua_remove(L, -2);
		lua_pushfstring(L, "[%s]", spec);
		push(n);
		if (call(2))
			FAIL("%s: %s", spec, lua_tostring(L, -1));
		if (!differs(flags, width, precision, kinds[kind].conversion, n)) {
			char whole[220];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
			libc_snprintf(expected, sizeof(expected), form, n);
#pragma GCC diagnostic pop
			sprintf(whole, "[%s]", expected);
			if (strcmp(whole, lua_tostring(L, -1)))
				FAIL("%s of %lld: %s, not %s", spec, n, lua_tostring(L, -1), whole);
		}
		lua_pop(L, 1);
	}
	end();
}

static void format_anything(const void *data)
{
	static const char alphabet[] = "%%%%%%%%-+# 00123456789..diouxXcspqaAeEfgGnlhL*$z";
	const char *error;
	int i;

	begin();
	function("local text = ('x'):rep(150) return string.format(..., -1, 65, 'a', {}, 255, text, text, text)");
	for (i = 0; i < 50000; i++) {
		char format[24];
		size_t j, len = test_below(sizeof(format));

		for (j = 0; j < len; j++)
			format[j] = alphabet[test_below(sizeof(alphabet) - 1)];
		format[len] = 0;
		lua_pushstring(L, format);
		error = call_copy(1);
		CHECK(!error || *error);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	end();
}

/* C's meaning of a precision without digits, for a string of any length. */
static void precision_without_digits(const void *data)
{
	begin();
	function("for n = 0, 3000, 7 do local s = ('x'):rep(n) "
		 "assert(('%.s'):format(s) == '' and ('[%5.s]'):format(s) == '[     ]') "
		 "assert(('[%-3.s]%s'):format(s, 1) == '[   ]1' and ('%.s%.s%.s'):format(s, s, s) == '') end "
		 "assert(('%.d|%5.x|%-+3.i|'):format(7, 255, 1) == '7|   ff|+1 |') "
		 "assert(not pcall(string.format, '%.', 1) and not pcall(string.format, '%.q', 1)) return 1");
	if (call(0))
		FAIL("%s", lua_tostring(L, -1));
	CHECK_EQ(result(), 1);
	end();
}

static lua_Integer floored(lua_Integer a, lua_Integer b, bool modulo)
{
	wide q = (wide)a / b, r = (wide)a % b;

	if (r && (r < 0) != (b < 0)) {
		q--;
		r += b;
	}
	return modulo ? r : (lua_Integer)q;
}

static void arithmetic(const void *data)
{
	static const char *const codes[] = {
		"local a, b = ... return a + b", "local a, b = ... return a - b",
		"local a, b = ... return a * b", "local a, b = ... return a // b",
		"local a, b = ... return a % b", "local a, b = ... return a & b",
		"local a, b = ... return a | b", "local a, b = ... return a ~ b",
		"local a, b = ... return a << b", "local a, b = ... return a >> b",
		"local a, b = ... return -a", "local a, b = ... return ~a",
		"local a, b = ... return math.fmod(a, b)", "local a, b = ... return math.abs(a)",
		"local a, b = ... return math.max(a, b)", "local a, b = ... return math.min(b, a)",
	};
	unsigned int i, op;

	begin();
	for (op = 0; op < ARRAY_SIZE(codes); op++)
		function(codes[op]);
	for (i = 0; i < 20000; i++) {
		lua_Integer a = some_integer(), b = some_integer();
		u64 ua = a, ub = b;

		if (!test_below(3))
			b = ub = (lua_Integer)test_below(140) - 70;
		for (op = 0; op < ARRAY_SIZE(codes); op++) {
			lua_Integer n, expected = 0;
			const char *error;

			lua_pushvalue(L, 1 + op);
			push(a);
			push(b);
			error = call(2);
			if (!b && (op == 3 || op == 4 || op == 12)) {
				CHECK(error);
				CHECK(strstr(error, op == 3 ? "divide by zero" : op == 4 ? "'n%0'" : "zero"));
				lua_pop(L, 1);
				continue;
			}
			CHECK(!error);
			n = result();
			switch (op) {
			case 0: expected = ua + ub; break;
			case 1: expected = ua - ub; break;
			case 2: expected = ua * ub; break;
			case 3: expected = floored(a, b, false); break;
			case 4: expected = floored(a, b, true); break;
			case 5: expected = a & b; break;
			case 6: expected = a | b; break;
			case 7: expected = a ^ b; break;
			case 8:
			case 9: {
				wide shift = op == 8 ? b : -(wide)b;

				expected = shift <= -64 || shift >= 64 ? 0 : shift < 0 ? ua >> -shift :
					   ua << shift;
				break;
			}
			case 10: expected = 0 - ua; break;
			case 11: expected = ~ua; break;
			case 12: expected = (wide)a % b; break;
			case 13: expected = a < 0 ? 0 - ua : ua; break;
			case 14: expected = a > b ? a : b; break;
			case 15: expected = a < b ? a : b; break;
			}
			if (n != expected)
				FAIL("%s with %lld, %lld: %lld, not %lld", codes[op], a, b, n, expected);
		}
	}
	lua_settop(L, 0);
	end();
}

/* The same in constants, which the compiler folds, or must not. */
static void constants(const void *data)
{
	static const char *const ops[] = { "+", "-", "*", "//", "%", "&", "|", "~", "<<", ">>", "/", "^" };
	int i;

	begin();
	for (i = 0; i < 20000; i++) {
		lua_Integer a = some_integer(), b = some_integer();
		const char *op = ops[test_below(ARRAY_SIZE(ops))], *folded, *run;
		char code[200];

		if (!test_below(3))
			b = (lua_Integer)test_below(140) - 70;
		libc_snprintf(code, sizeof(code), "return 0x%llx %s 0x%llx", a, op, b);
		function(code);
		folded = call(0);
		libc_snprintf(code, sizeof(code), "local a, b = ... return a %s b", op);
		function(code);
		push(a);
		push(b);
		run = call(2);
		if (!folded != !run)
			FAIL("%lld %s %lld: %s in constants, %s in variables", a, op, b,
			     folded ? folded : "fine", run ? run : "fine");
		if (folded)
			CHECK(strstr(folded, op[0] == '%' ? "'n%0'" : op[1] ? "zero" :
				     "floating point"));
		else
			CHECK_EQ(lua_tointeger(L, -1), lua_tointeger(L, -2));
		CHECK(folded || (lua_isinteger(L, -1) && lua_isinteger(L, -2)));
		lua_settop(L, 0);
	}
	end();
}

static void comparisons(const void *data)
{
	int i;

	begin();
	function("local a, b = ... return (a < b and 1 or 0) | (a <= b and 2 or 0) | (a == b and 4 or 0) "
		 "| (math.ult(a, b) and 8 or 0) | (a > b and 16 or 0) | (a >= b and 32 or 0)");
	for (i = 0; i < 20000; i++) {
		lua_Integer a = some_integer(), b = test_below(4) ? some_integer() : a;

		push(a);
		push(b);
		CHECK(!call_copy(2));
		CHECK_EQ(result(), (a < b) | (a <= b) << 1 | (a == b) << 2 |
				   ((u64)a < (u64)b) << 3 | (a > b) << 4 | (a >= b) << 5);
	}
	lua_pop(L, 1);
	end();
}

static void loops(const void *data)
{
	int i;

	begin();
	function("local first, last, step = ... local n, x = 0 for i = first, last, step do n = n + 1 x = i "
		 "if n == 1000 then break end end return n, x");
	for (i = 0; i < 20000; i++) {
		lua_Integer first = some_integer(), last = some_integer(), step = some_integer();
		wide count;
		const char *error;

		if (test_below(2))
			last = first + (u64)(test_below(100) - 50);
		if (test_below(2))
			step = (lua_Integer)test_below(10) - 5;
		push(first);
		push(last);
		push(step);
		error = call_copy(3);
		if (!step) {
			CHECK(strstr(error, "'for' step is zero"));
			lua_pop(L, 1);
			continue;
		}
		CHECK(!error);
		count = step > 0 ? ((wide)last - first) / step : ((wide)first - last) / -(wide)step;
		count = (step > 0 ? first > last : first < last) ? 0 : count + 1;
		CHECK_EQ(result(), count > 1000 ? 1000 : count);
	}
	lua_pop(L, 1);
	end();
}

static void random_numbers(const void *data)
{
	int i;

	begin();
	function("return math.random(...)");
	for (i = 0; i < 20000; i++) {
		lua_Integer low = some_integer(), high = some_integer(), n;
		const char *error;

		push(low);
		push(high);
		error = call_copy(2);
		if (low > high) {
			CHECK(strstr(error, "interval is empty"));
			lua_pop(L, 1);
			continue;
		}
		CHECK(!error);
		n = result();
		CHECK(n >= low && n <= high);
	}
	lua_pop(L, 1);
	function("math.randomseed(7) local a = math.random(0) for i = 1, 100 do assert(math.random(1) == 1) end "
		 "math.randomseed(7) assert(a == math.random(0)) assert(not pcall(math.random)) "
		 "assert(not pcall(math.random, 1, 2, 3)) return math.randomseed()");
	CHECK(!call(0));
	result();
	end();
}

/* The bytes of n in `size` bytes. */
static void encode(u8 *bytes, lua_Integer n, int size, bool little, bool is_signed)
{
	int i;

	for (i = 0; i < size; i++) {
		u8 byte = i < 8 ? (u64)n >> 8 * i : is_signed && n < 0 ? 0xff : 0;

		bytes[little ? i : size - 1 - i] = byte;
	}
}

static void pack_integers(const void *data)
{
	int i;

	begin();
	function("return string.pack(...)");
	function("return (string.unpack(...))");
	for (i = 0; i < 30000; i++) {
		int size = 1 + test_below(16), skip = test_below(4);
		bool little = test_below(2), is_signed = test_below(2), fits;
		lua_Integer n = some_integer();
		u8 expected[40] = { 0 };
		char format[40];
		const char *error;

		libc_snprintf(format, sizeof(format), "%c%.*s%c%d", "><"[little], skip, "xxxx",
			      "Ii"[is_signed], size);
		if (size >= 8)
			fits = true;
		else if (is_signed)
			fits = n >= -(1LL << (8 * size - 1)) && n < 1LL << (8 * size - 1);
		else
			fits = (u64)n < 1ULL << 8 * size;
		lua_pushvalue(L, 1);
		lua_pushstring(L, format);
		push(n);
		error = call(2);
		if (!fits) {
			CHECK(strstr(error, "overflow"));
			lua_pop(L, 1);
			continue;
		}
		if (error)
			FAIL("%s of %lld: %s", format, n, error);
		encode(expected + skip, n, size, little, is_signed);
		CHECK_EQ(lua_rawlen(L, -1), skip + size);
		CHECK(!memcmp(lua_tostring(L, -1), expected, skip + size));
		lua_pushvalue(L, 2);
		lua_pushstring(L, format);
		lua_pushvalue(L, -3);
		/* Without a sign, more than 8 bytes hold what an integer does not. */
		CHECK(!call(2));
		CHECK_EQ(result(), n);
		lua_pop(L, 1);
	}
	lua_settop(L, 0);
	end();
}

static void unpack_anything(const void *data)
{
	static const char alphabet[] = "<>=!!bBhHlLjJTiIszxX 0123456789fdn";
	int i, done = 0;

	begin();
	function("local f, s, i = ... local ok, e = pcall(string.packsize, f) "
		 "if ok and e <= 100 then pcall(string.pack, f, 1, 2, 3, 4, 5) end "
		 "pcall(string.pack, f, 1, 'a', 'b', -1, 0) return string.unpack(f, s, i)");
	for (i = 0; i < 50000; i++) {
		char format[16], bytes[64];
		size_t j, len = test_below(8), count = test_below(sizeof(bytes));

		for (j = 0; j < len; j++)
			format[j] = alphabet[test_below(sizeof(alphabet) - 1)];
		for (j = 0; j < count; j++)
			bytes[j] = test_below(3) ? test_below(4) : test_random();
		lua_pushlstring(L, format, len);
		lua_pushlstring(L, bytes, count);
		push(test_below(8) ? (lua_Integer)test_below(5) + 1 : some_integer());
		done += !call_copy(3);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	CHECK(done > 1000);
	end();
}

/* The code point at s, of at most len bytes, as RFC 3629 has it; how long, or 0. */
static size_t decode(const u8 *s, size_t len, u32 *code)
{
	static const u32 least[] = { 0, 0x80, 0x800, 0x10000 };
	size_t i, more = *s < 0x80 ? 0 : *s >> 5 == 6 ? 1 : *s >> 4 == 14 ? 2 : *s >> 3 == 30 ? 3 : 9;

	if (more > 3 || more >= len)
		return 0;
	*code = more ? *s & (0x3f >> more) : *s;
	for (i = 1; i <= more; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		*code = *code << 6 | (s[i] & 0x3f);
	}
	if (*code < least[more] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
		return 0;
	return more + 1;
}

static void utf8_of_any_bytes(const void *data)
{
	static const u8 likely[] = { 0xc3, 0xa4, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xa0,
				     0xf4, 0x90, 0xc0, 0x80, 0xff, 'a', 0xf8, 0xfc, 0xbf };
	int i;

	begin();
	function("local s = ... local n, bad = utf8.len(s) "
		 "local sum, ok = 0 ok = pcall(function() for p, c in utf8.codes(s) do sum = sum + c end end) "
		 "assert(ok == (n ~= nil)) if not n then return -bad end "
		 "local t = {utf8.codepoint(s, 1, -1)} assert(#t == n) for _, c in ipairs(t) do sum = sum - c end "
		 "assert(sum == 0 and utf8.char(table.unpack(t)) == s) "
		 "pcall(utf8.len, s, 1, -1, true) pcall(utf8.codepoint, s, 1, -1, true) return n");
	for (i = 0; i < 50000; i++) {
		u8 bytes[24];
		size_t j, len = test_below(12);
		lua_Integer expected = 0;
		u32 code;

		for (j = 0; j < len; j++)
			bytes[j] = test_below(8) ? likely[test_below(sizeof(likely))] : test_random();
		for (j = 0; j < len;) {
			size_t step = decode(bytes + j, len - j, &code);

			if (!step) {
				expected = -(lua_Integer)j - 1;
				break;
			}
			expected++;
			j += step;
		}
		lua_pushlstring(L, (char *)bytes, len);
		if (call_copy(1)) {
			for (j = 0; j < len; j++)
				printf("%02x ", bytes[j]);
			FAIL("%s", lua_tostring(L, -1));
		}
		CHECK_EQ(result(), expected);
	}
	lua_pop(L, 1);
	end();
}

static void utf8_of_each_code(const void *data)
{
	u32 code;

	begin();
	function("local c = ... local s = utf8.char(c) assert(utf8.codepoint(s, 1, 1, true) == c) "
		 "assert(load('return \"\\\\u{' .. ('%x'):format(c) .. '}\"')() == s) return #s");
	for (code = 0; code <= 0x7fffffff; code += 1 + code / 300) {
		push(code);
		CHECK(!call_copy(1));
		CHECK_EQ(result(), code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 :
				   code < 0x200000 ? 4 : code < 0x4000000 ? 5 : 6);
	}
	for (code = 0x7ffffffe; code <= 0x80000001; code++) {
		push(code);
		CHECK(!call_copy(1) == (code < 0x80000000));
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	end();
}

static const struct test_case cases[] = {
	TEST(to_text_and_back),
	TEST(any_text),
	TEST(digits),
	TEST(numerals),
	TEST(bases),
	TEST(zeros_in_texts),
	TEST(format_integers),
	TEST(format_anything),
	TEST(precision_without_digits),
	TEST(arithmetic),
	TEST(constants),
	TEST(comparisons),
	TEST(loops),
	TEST(random_numbers),
	TEST(pack_integers),
	TEST(unpack_anything),
	TEST(utf8_of_any_bytes),
	TEST(utf8_of_each_code),
	{ }
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, cases);
}
