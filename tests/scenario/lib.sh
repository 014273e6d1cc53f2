# Helpers for scenarios; sourced.  A scenario is a numbered program that ends 0
# when what its name says was seen, 77 when it cannot be tried here.
# shellcheck shell=bash
set -eu

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${WAYBILL_BUILD:-$here/build}
waybill=$build/cli/waybill
pledge=$build/manufacturer/waybill-pledge
factory=$build/manufacturer/waybill-factory
tmp=$(mktemp -d /tmp/wbs.XXXXXX)
demo=$tmp/demo
children=

cleanup() {
	local status=$?
	set +e
	for pid in $children; do
		kill -9 "$pid" 2>/dev/null
	done
	[ ! -e "$demo/supervisor.pid" ] || "$waybill" demo stop --dir "$demo"
	if [ "$status" != 0 ] && [ "$status" != 77 ]; then
		for log in "$demo"/*.log; do
			[ -f "$log" ] || continue
			echo "==> $log"
			tail -n 25 "$log"
		done
	fi
	[ -z "${WAYBILL_LOGS:-}" ] || keep_logs "$WAYBILL_LOGS"
	rm -rf "$tmp"
	exit "$status"
}
trap cleanup EXIT

# keep_logs DIR: what all processes have said; the long run reads it.
keep_logs() {
	local log
	mkdir -p "$1"
	(cd "$tmp" && find . -type f -name '*log') | while read -r log; do
		cp "$tmp/$log" "$1/$(tr / - <<<"${log#./}")"
	done
}

step() { printf '%s %s\n' "--" "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

# A demo that stays; its environment is read.
demo_up() {
	"$waybill" demo --keep --dir "$demo" >"$tmp/demo.out" 2>&1 ||
		{ cat "$tmp/demo.out"; fail "demo --keep"; }
	# shellcheck disable=SC1091
	. "$demo/env"
}
link() { "$waybill" demo link "$1" --dir "$demo"; }

# device NAME: a further IDevID.
device() { "$waybill" demo device "$1" --dir "$demo" >/dev/null; }

# enrol NAME [OPTIONS...]: the pledge, in the foreground; with & behind it, $! is
# the pledge itself, so that a kill hits it and no shell in between.
enrol() {
	local name=$1 exec=
	shift
	[ "$BASHPID" = "$$" ] || exec="exec"
	$exec "$pledge" enrol --proxy "$PROXY" --trust "$DOMAIN_CA" \
	    --cert "$demo/devices/$name.crt" --key "$demo/devices/$name.key" \
	    --chain "$demo/devices/$name.chain.pem" \
	    --state "$tmp/state-$name" --out "$tmp/$name" --timeout 60 "$@"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local left=$(($1 * 10))
	shift
	while ! "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		sleep 0.1
	done
}

# kill9 NAME: REGISTRAR, FORWARDER, RA, PROXY; returns when a new one is there.
kill9() {
	local file old
	file=$(eval "echo \"\$$1_PID\"")
	old=$(cat "$file")
	kill -9 "$old"
	wait_for 10 pid_changed "$file" "$old" || fail "$1 was not restarted"
}
pid_changed() { [ -s "$1" ] && [ "$(cat "$1")" != "$2" ] && kill -0 "$(cat "$1")"; }

# Certificates that the RA has issued to a device, by its serial number.
issued_to() {
	curl -s --unix-socket "$RA_CONTROL" http://localhost/v1/issued |
		python3 -c 'import json,sys; print(sum(e["device"] == sys.argv[1] for e in json.load(sys.stdin)["issued"]))' "$1"
}
queue_states() {
	"$waybill" queue list --json --socket "$REGISTRAR_CONTROL" |
		python3 -c 'import json,sys; [print(e["device"], e["step"], e["state"]) for e in json.load(sys.stdin)["entries"]]'
}
has_state() { queue_states | grep "^$1 0 $2\$" >/dev/null; }
verify_ldevid() {
	openssl verify -CAfile "$DOMAIN_CA" -untrusted "$tmp/$1.chain.pem" "$tmp/$1.crt"
}

# house_up SITE: an RA and a paired site, one vendor and one of its devices, in
# $tmp/house; keys and files alone, no daemon.  Sets DOMAIN_CA and port.
house_up() {
	local house=$tmp/house
	mkdir -p "$house"
	port=$(free_port)
	DOMAIN_CA=$house/site/domain-root.crt
	"$factory" init "$house/vendor" >/dev/null
	"$factory" device "$house/vendor" "$1-1" --out "$house/device" >/dev/null
	"$waybill" init ra "$house/ra" --host 127.0.0.1 \
	    --vendor "acme=$house/vendor/vendor-root.crt" >/dev/null
	"$waybill" init site "$house/site" --name "$1" --host 127.0.0.1 \
	    --listen "127.0.0.1:$port" --map-size 16MiB \
	    --vendor "acme=$house/vendor/vendor-root.crt" >/dev/null
	"$waybill" init ra "$house/ra" --pair "$house/site/$1.request" >/dev/null
	"$waybill" init site "$house/site" --pair "$house/site/$1.pairing" >/dev/null
}
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
