#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# A tour of Lunatik, run as root on a machine with the module: `cargo xtask demo`
# runs it in a VM. It stops at the first step that does not give what it should.
set -eu
cd "$(dirname "$0")"
received=$(mktemp)

# say TEXT...: what comes next, in words.
say() {
	echo
	printf '# %s\n' "$@"
}

# try [STATUS]: shows the command on standard input, runs it, shows its output.
# The command must end with STATUS, which is 0 if not given.
try() {
	command=$(cat)
	echo "$command" | sed '1s/^/$ /; 2,$s/^/> /'
	status=0
	output=$(eval "$command" 2>&1 </dev/null) || status=$?
	[ -z "$output" ] || echo "$output"
	[ "$status" = "${1:-0}" ] || wrong "exit status ${1:-0}, not $status"
}

# gives TEXT: the last output must be TEXT.
gives() {
	[ "$output" = "$1" ] || wrong "$1"
}

# shows TEXT...: the last output must contain each TEXT.
shows() {
	for text; do
		case $output in
		*"$text"*) ;;
		*) wrong "$text" ;;
		esac
	done
}

wrong() {
	echo "demo.sh: this should have been: $1" >&2
	exit 1
}

say 'Two network namespaces, as two containers would have them.'
try <<'$'
ip netns add red && ip netns add blue
$

say 'Each gets a Lua state in the kernel. They have the same name and nothing else' \
	'in common.'
try <<'$'
lunatikctl -n red newstate fw && lunatikctl -n blue newstate fw
$
try <<'$'
lunatikctl -n red dostring fw 'colour = "red"'
$
try <<'$'
lunatikctl -n red dostring fw 'return colour'
$
gives red
try <<'$'
lunatikctl -n blue dostring fw 'return colour'
$
gives nil

say 'What the code returns comes back with its types.'
try <<'$'
lunatikctl -n red dostring fw 'return 6*7, {x=2}'
$
gives '42	{x = 2}'
try <<'$'
lunatikctl -n red -j dostring fw 'return 6*7, {x=2}'
$
gives '[42,{"x":2}]'

say 'A script from a file. It registers a function for data that is sent to the state.'
try <<'$'
cat greeter.lua
$
try <<'$'
lunatikctl -n red dofile fw greeter.lua
$
try <<'$'
lunatikctl -n red senddata fw Alice
$
gives 'Hello Alice, you are number 1'
try <<'$'
lunatikctl -n red senddata fw Bob
$
gives 'Hello Bob, you are number 2'

say 'What it printed is in the log of the state.'
try <<'$'
lunatikctl -n red log fw
$
shows 'greeted	Alice' 'greeted	Bob'

say 'The other way: the kernel pushes data to whoever receives it.'
echo '$ lunatikctl -n red receive fw --count 2 --timeout 10s &'
lunatikctl -n red receive fw --count 2 --timeout 10s >"$received" &
receiver=$!
until lunatikctl -n red -j show fw | grep -q '"subscribers":1'; do
	kill -0 $receiver || wrong 'a receiver that waits'
	sleep 0.1
done
try <<'$'
lunatikctl -n red dostring fw '
	local lunatik = require "lunatik"
	return lunatik.send("one packet"), lunatik.send("two packets")'
$
gives '1	1'
wait $receiver || wrong 'a receiver that got both'
output=$(cat "$received")
echo "$output"
gives 'one packet
two packets'

say 'An error comes back with its traceback.'
try 1 <<'$'
lunatikctl -n red dostring fw '
	local function check(packet)
	  error("boom")
	end
	check()'
$
shows 'dostring:3: boom (EREMOTEIO)' 'stack traceback:' "in local 'check'" \
	'dostring:5: in main chunk'

say 'No floating point in the kernel. Lua says so.'
try 1 <<'$'
lunatikctl -n red dostring fw 'return 1.5'
$
shows "malformed number near '1.5'"
try 1 <<'$'
lunatikctl -n red dostring fw 'return 1/2'
$
shows "'/'"

say 'A cap on memory. A script that wants more fails, the state lives on.'
try <<'$'
lunatikctl -n red newstate small --max-alloc 64K
$
try 1 <<'$'
lunatikctl -n red dostring small 'hoard = {} for i = 1, 1000000 do hoard[i] = i end'
$
shows 'not enough memory (ENOMEM)'
try <<'$'
lunatikctl -n red dostring small 'hoard = nil return "still alive"'
$
gives 'still alive'

say 'A deadline. An endless loop ends by itself, and pcall does not save it.'
try 1 <<'$'
lunatikctl -n red dostring fw --timeout 200ms 'while true do pcall(function() while true do end end) end'
$
shows '(ETIME)'

say 'The same from Lua in user space.'
try <<'$'
cat greet.lua
$
try <<'$'
lua5.4 greet.lua
$
shows '42	2' kitanul EREMOTEIO
try <<'$'
lua5.4 -e '
	local lunatik = require "lunatik"
	for _, s in ipairs(lunatik.session{netns = "red"}:list()) do print(s.name, s.curralloc) end'
$
shows 'fw	' 'small	'

say 'The states of each namespace: memory in use and its cap, runs, errors, time.'
try <<'$'
lunatikctl -n red list
$
shows NAME MEM fw small
try <<'$'
lunatikctl -n blue list
$
shows fw
try <<'$'
lunatikctl -n red status
$
shows 'states: 2 of'

say 'Packets. A script counts those of its namespace, and tells who receives it each second.' \
	'An emulated machine may be slow, so its functions get more than the usual 10 ms.'
try <<'$'
ip link add eth0 netns red type veth peer name eth0 netns blue
ip -n red address add 10.0.0.1/24 dev eth0 && ip -n red link set eth0 up
ip -n blue address add 10.0.0.2/24 dev eth0 && ip -n blue link set eth0 up
$
try <<'$'
lunatikctl -n red newstate count --context softirq --timeout 100ms
$
try <<'$'
lunatikctl -n red dofile count packets/count.lua
$
try <<'$'
ip netns exec blue ping -q -c 3 -i 0.1 10.0.0.1
$
shows '3 received'
try <<'$'
lunatikctl -n red receive count --count 1 --timeout 10s
$
shows 'input icmp packets=3' 'output icmp packets=3'

say 'A script decides what becomes of a packet. This one drops echo requests.'
try <<'$'
lunatikctl -n red dostring count '
	local nf = require "netfilter"
	nf.register{family = "ipv4", hook = "input", function(pkt)
	  if pkt:u8(9) == 1 and pkt:u8(20) == 8 then return nf.DROP end
	end}'
$
try 1 <<'$'
ip netns exec blue ping -q -c 1 -W 1 10.0.0.1
$
shows '0 received'
try <<'$'
lunatikctl -n red show count
$
shows 'hooks: 4' 'drop 1'

say 'A namespace that is deleted takes its states along. The other keeps its own.'
try <<'$'
ip netns del blue && ip netns add blue
$
try 5 <<'$'
lunatikctl -n blue show fw
$
shows 'no such state'
try <<'$'
lunatikctl -n red dostring fw 'return colour'
$
gives red

say 'The module can go at any time, with the states that are left.'
try <<'$'
lunatikctl unload
$
try 1 <<'$'
grep -w ^lunatik /proc/modules
$

say 'Nothing in the log of the kernel but what belongs there.'
try 1 <<'$'
dmesg | grep -E 'BUG|WARNING|Oops'
$
gives ''

rm "$received"
ip netns del red
ip netns del blue
say 'That was the tour.'
