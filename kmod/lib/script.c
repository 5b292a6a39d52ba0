// SPDX-License-Identifier: GPL-2.0-only
/* Libraries that are written in Lua. Their text is in the module; states compile what they require. */
#include <linux/kernel.h>
#include <linux/string.h>

#include "../lua/load.h"
#include "lib.h"

/* Each one's file, and its name for require(), which it is called with. */
#define SCRIPTS(X)			\
	X(packet, "packet")		\
	X(header, "packet.header")	\
	X(locate, "packet.locate")	\
	X(eth, "packet.eth")		\
	X(arp, "packet.arp")		\
	X(ip, "packet.ip")		\
	X(ipv4, "packet.ipv4")		\
	X(ipv6, "packet.ipv6")		\
	X(tcp, "packet.tcp")		\
	X(udp, "packet.udp")		\
	X(icmp, "packet.icmp")		\
	X(dns, "packet.dns")		\
	X(dnsname, "packet.dnsname")	\
	X(sni, "packet.sni")

#define EMBED(id, name)						\
	extern const char id##_text[], id##_end[];		\
	asm(".pushsection .rodata\n"				\
	    #id "_text:\n"					\
	    ".incbin \"packet/" #id ".lua\"\n"			\
	    #id "_end:\n"					\
	    ".popsection\n");
SCRIPTS(EMBED)

static const struct {
	const char *chunk;	/* '=' and the name */
	const char *text;
	const char *end;
} scripts[] = {
#define ENTRY(id, name)	{ "=" name, id##_text, id##_end },
	SCRIPTS(ENTRY)
	ENTRY(icmp, "packet.icmp6")
};

/* Calls the script of the number that is the upvalue, with the arguments. */
static int run(lua_State *L)
{
	lua_Integer i = lua_tointeger(L, lua_upvalueindex(1));
	int n = lua_gettop(L);

	if (lunatik_load_string(L, scripts[i].text, scripts[i].end - scripts[i].text,
				scripts[i].chunk, "t"))
		return lua_error(L);
	lua_insert(L, 1);
	lua_call(L, n, 1);
	return 1;
}

bool lunatik_lib_push_script(lua_State *L, const char *name)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(scripts); i++) {
		if (!strcmp(scripts[i].chunk + 1, name)) {
			lua_pushinteger(L, i);
			lua_pushcclosure(L, run, 1);
			return true;
		}
	}
	return false;
}
