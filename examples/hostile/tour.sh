#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs each script of this folder in a state of its own. Each must end in the error
# that its third line tells, and leave the state alive:
#   cargo xtask vm --file examples/hostile -- sh /files/hostile/tour.sh
set -eu
cd "$(dirname "$0")"
count=0

wrong() {
	echo "tour.sh: $script: $1" >&2
	exit 1
}

for script in *.lua; do
	expected=$(sed -n 's/^-- Ends in: //p' "$script")
	[ -n "$expected" ] || wrong 'does not tell what it ends in'
	lunatikctl newstate hostile --max-alloc 2M --timeout 1s
	if output=$(lunatikctl dofile hostile "$script" 2>&1); then
		wrong "no error but: $output"
	fi
	echo "$script"
	echo "  $output" | head -n 1
	case $output in
	*"$expected"*) ;;
	*) wrong "should end in: $expected" ;;
	esac
	lunatikctl list | grep -q '^hostile ' || wrong 'the state is gone'
	# Without the string library, in case the script broke that.
	[ "$(lunatikctl dostring hostile 'return 6 * 7')" = 42 ] || wrong 'the state is broken'
	lunatikctl close hostile
	count=$((count + 1))
done
echo "$count scripts, each ended in its own error"
