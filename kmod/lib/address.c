// SPDX-License-Identifier: GPL-2.0-only
/* Addresses of packets as text and back: packet.ntop() and packet.pton(). */
#include <linux/kernel.h>
#include <linux/string.h>
#include <asm/byteorder.h>

#include "lib.h"

/* Longest: eight groups of four digits, or six and a dotted quad */
#define TEXT_MAX	48

#define IPV4_LEN	4
#define IPV6_LEN	16
#define MAC_LEN		6

static char *put_hex(char *out, unsigned int value, int digits)
{
	while (digits--)
		*out++ = "0123456789abcdef"[value >> 4 * digits & 15];
	return out;
}

static char *put_decimal(char *out, unsigned int value)
{
	if (value >= 100)
		*out++ = '0' + value / 100;
	if (value >= 10)
		*out++ = '0' + value / 10 % 10;
	*out++ = '0' + value % 10;
	return out;
}

static char *put_ipv4(char *out, const u8 *bytes)
{
	int i;

	for (i = 0; i < IPV4_LEN; i++) {
		if (i)
			*out++ = '.';
		out = put_decimal(out, bytes[i]);
	}
	return out;
}

static char *put_mac(char *out, const u8 *bytes)
{
	int i;

	for (i = 0; i < MAC_LEN; i++) {
		if (i)
			*out++ = ':';
		out = put_hex(out, bytes[i], 2);
	}
	return out;
}

/* Finds the first of the longest runs of groups that are zero; the run's length. */
static int longest_run(const u16 *groups, int *start)
{
	int i, run = 0, longest = 0;

	for (i = 0; i < 8; i++) {
		run = groups[i] ? 0 : run + 1;
		if (run > longest) {
			longest = run;
			*start = i + 1 - run;
		}
	}
	return longest;
}

/* RFC 5952 */
static char *put_ipv6(char *out, const u8 *bytes)
{
	static const u8 mapped[12] = { [10] = 0xff, [11] = 0xff };
	int i, start = -1, longest;
	u16 groups[8];

	if (!memcmp(bytes, mapped, sizeof(mapped))) {
		memcpy(out, "::ffff:", 7);
		return put_ipv4(out + 7, bytes + sizeof(mapped));
	}
	for (i = 0; i < 8; i++)
		groups[i] = bytes[2 * i] << 8 | bytes[2 * i + 1];
	longest = longest_run(groups, &start);
	/* One group is not shortened. */
	if (longest < 2)
		start = -1;
	for (i = 0; i < 8; i++) {
		int digits = 1;

		if (i == start) {
			*out++ = ':';
			*out++ = ':';
			i += longest - 1;
			continue;
		}
		if (i && i != start + longest)
			*out++ = ':';
		while (digits < 4 && groups[i] >> 4 * digits)
			digits++;
		out = put_hex(out, groups[i], digits);
	}
	return out;
}

static int address_ntop(lua_State *L)
{
	char text[TEXT_MAX], *end = NULL;
	const u8 *bytes;
	lua_Integer n;
	__be32 quad;
	size_t len;

	if (lua_type(L, 1) == LUA_TNUMBER) {
		n = lua_tointeger(L, 1);
		luaL_argcheck(L, n >= 0 && n <= U32_MAX, 1, "not an address");
		quad = cpu_to_be32(n);
		end = put_ipv4(text, (u8 *)&quad);
	} else {
		bytes = (const u8 *)luaL_checklstring(L, 1, &len);
		luaL_argcheck(L, len == IPV4_LEN || len == IPV6_LEN || len == MAC_LEN, 1,
			      "not 4, 6 or 16 bytes");
		if (len == IPV4_LEN)
			end = put_ipv4(text, bytes);
		else if (len == IPV6_LEN)
			end = put_ipv6(text, bytes);
		else
			end = put_mac(text, bytes);
	}
	lua_pushlstring(L, text, end - text);
	return 1;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Each of the get functions returns what comes after, or NULL if that is not there. */
static const char *get_hex(const char *in, int least, int most, unsigned int *value)
{
	int n;

	*value = 0;
	for (n = 0; n < most && digit(*in) >= 0; n++)
		*value = *value << 4 | digit(*in++);
	return n < least ? NULL : in;
}

static const char *get_ipv4(const char *in, u8 *bytes)
{
	int i, n;

	for (i = 0; i < IPV4_LEN; i++) {
		unsigned int value = 0;
		const char *first;

		if (i && *in++ != '.')
			return NULL;
		first = in;
		for (n = 0; n < 3 && *in >= '0' && *in <= '9'; n++)
			value = 10 * value + *in++ - '0';
		/* A leading zero means octal to some. */
		if (!n || value > 255 || (n > 1 && *first == '0'))
			return NULL;
		bytes[i] = value;
	}
	return in;
}

static const char *get_mac(const char *in, u8 *bytes)
{
	unsigned int value;
	int i;

	for (i = 0; i < MAC_LEN; i++) {
		if (i && *in++ != ':')
			return NULL;
		in = get_hex(in, 2, 2, &value);
		if (!in)
			return NULL;
		bytes[i] = value;
	}
	return in;
}

/* Whether a dotted quad is next, not a group. */
static bool is_quad(const char *in)
{
	while (*in >= '0' && *in <= '9')
		in++;
	return *in == '.';
}

static const char *get_ipv6(const char *in, u8 *bytes)
{
	int n = 0, gap = -1;
	unsigned int value;

	if (in[0] == ':' && in[1] != ':')
		return NULL;
	for (;;) {
		if (gap < 0 && in[0] == ':' && in[1] == ':') {
			gap = n;
			in += 2;
			if (digit(*in) < 0)
				break;
		}
		if (n <= IPV6_LEN - IPV4_LEN && is_quad(in)) {
			in = get_ipv4(in, bytes + n);
			if (!in)
				return NULL;
			n += IPV4_LEN;
			break;
		}
		in = get_hex(in, 1, 4, &value);
		if (!in)
			return NULL;
		bytes[n++] = value >> 8;
		bytes[n++] = value;
		if (n == IPV6_LEN || *in != ':')
			break;
		/* One colon separates, two are the gap. */
		if (in[1] != ':')
			in++;
		else if (gap >= 0)
			return NULL;
	}
	if (gap < 0)
		return n == IPV6_LEN ? in : NULL;
	/* The gap is of one group at least. */
	if (n == IPV6_LEN)
		return NULL;
	memmove(bytes + IPV6_LEN - (n - gap), bytes + gap, n - gap);
	memset(bytes + gap, 0, IPV6_LEN - n);
	return in;
}

static int address_pton(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len), *end = text + len;
	u8 bytes[IPV6_LEN];
	__be32 quad;

	if (get_ipv4(text, (u8 *)&quad) == end)
		lua_pushinteger(L, be32_to_cpu(quad));
	else if (get_ipv6(text, bytes) == end)
		lua_pushlstring(L, (char *)bytes, IPV6_LEN);
	else if (get_mac(text, bytes) == end)
		lua_pushlstring(L, (char *)bytes, MAC_LEN);
	else
		luaL_pushfail(L);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "ntop",	address_ntop },
	{ "pton",	address_pton },
	{ NULL,		NULL },
};

int lunatik_lib_open_address(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
