# Helpers for the long run; sourced.  Each numbered program here is one case of
# ./tests/run --long; it ends 77 when what it needs is not here.
# shellcheck shell=bash
set -eu -o pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$here"

# need TOOL
need() {
	command -v "$1" >/dev/null && return
	echo "$1 is not installed"
	exit 77
}

# build DIR MESON-OPTIONS...: as ./tests/run does; all, or $targets.
targets=
build() {
	local dir=$1 said
	shift
	[ -f "$dir/build.ninja" ] || said=$(meson setup "$dir" "$@" 2>&1) ||
		{ tail -n 40 <<<"$said"; return 1; }
	# shellcheck disable=SC2086
	ninja -C "$dir" $targets >"$dir/ninja.log" 2>&1 ||
		{ tail -n 40 "$dir/ninja.log"; return 1; }
}

# What the demo starts.
# shellcheck disable=SC2034
programs="cli/waybill proxy/waybill-proxy registrar/waybill-registrar
forwarder/waybill-forwarder ra/waybill-ra masa-client/waybill-masa-client
manufacturer/waybill-factory manufacturer/waybill-masa
manufacturer/waybill-pledge"

# unconfined DIR: the demo of this build starts its daemons without a sandbox,
# in which a process can neither read its own symbols nor write a new file.
unconfined() {
	local path wrapper
	for path in "$1"/{proxy,registrar,forwarder,ra,masa-client}/waybill-*; do
		if [ ! -x "$path" ] || [ -d "$path" ]; then
			continue
		fi
		# The demo looks beside `waybill` first.
		wrapper=$1/cli/${path##*/}
		printf '#!/bin/sh\nexec "%s" --no-sandbox "$@"\n' \
		    "$(realpath "$path")" >"$wrapper"
		chmod +x "$wrapper"
	done
}

# scenario DIR SECONDS NAME: with the programs of that build; their logs are in
# DIR/scenario-logs/NAME afterwards.  Returns what the scenario did.
scenario() {
	local logs=$1/scenario-logs/$3 start status=0
	start=$(date +%s)
	rm -rf "$logs"
	mkdir -p "$logs"
	WAYBILL_BUILD=$here/$1 WAYBILL_LOGS=$here/$logs \
	    timeout --kill-after=30 "$2" "tests/scenario/$3" \
	    >"$logs/scenario.log" 2>&1 </dev/null || status=$?
	printf '%-6s %4ds  %s\n' "$(word_for $status)" \
	    $(($(date +%s) - start)) "$3"
	case $status in
	0|77) ;;
	*) tail -n 60 "$logs/scenario.log" | sed 's/^/    /' ;;
	esac
	return $status
}
word_for() {
	case $1 in
	0) echo ok ;;
	77) echo skip ;;
	*) echo FAIL ;;
	esac
}

# reports DIR PATTERN: prints what sanitizers have said in logs; fails if any.
reports() {
	local found
	found=$(grep -rnE -A 40 "$2" "$1" | head -n 200) || true
	[ -n "$found" ] || return 0
	echo "$found"
	return 1
}
