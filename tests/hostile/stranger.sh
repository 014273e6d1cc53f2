# Helpers for what strangers send, and those of the scenarios; sourced.  Each
# case prints a line: what was sent, what came back, in what time, and the
# registrar's resident memory.
# shellcheck shell=bash
# shellcheck source=../scenario/brski.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scenario/brski.sh"

set -eu
cmp_tool=${build:?}/tests/fault/cmp_tool
hostile=$build/tests/hostile
ids=$tmp/ids
mkdir "$ids"
# shellcheck disable=SC2034
CMP=/.well-known/cmp
# shellcheck disable=SC2034
CMP_TYPE=application/pkixcmp

# resident NAME: in KiB.
resident() {
	local file
	file=$(eval "echo \"\$$1_PID\"")
	awk '/^VmRSS:/ { print $2 }' "/proc/$(cat "$file")/status"
}

# A demo whose registrar lets one device ask as often as a test does.
wide_demo() {
	demo_up
	cat >>"$REGISTRAR_CONF" <<-YAML

		limits:
		  device-connections: 1024
		  device-requests: 10000
	YAML
	kill9 REGISTRAR
	wait_for 10 listens "${REGISTRAR##*:}" || fail "the registrar does not listen"
	registrar_was=$(cat "$REGISTRAR_PID")
}
# None of it may have ended the registrar.
same_registrar() {
	[ "$(cat "$REGISTRAR_PID")" = "$registrar_was" ] ||
		fail "$1: the registrar was started anew"
	kill -0 "$registrar_was" || fail "$1: the registrar is gone"
}

# identity NAME [PREFIX]: what curl and cmp_tool take, in $ids.
identity() {
	local from=${2:-$demo/devices/$1}
	cat "$from.crt" "$from.chain.pem" >"$ids/$1.pem"
	cp "$from.key" "$ids/$1.key"
	cp "$from.crt" "$ids/$1.crt"
	cp "$from.chain.pem" "$ids/$1.chain.pem"
}
# forge NAME KIND [SERIAL]: by the maker's own sub-CA.
forge() {
	"$hostile/make_identity" "$2" "$demo/vendor" "${3:-$1}" "$tmp/forged" ||
		fail "no $2"
	identity "$1" "$tmp/forged"
}

# More options of curl's for all that is asked.
tls_only=
# ask PATH TYPE FILE NAME|- [CURL'S OPTIONS...]: sets code and took; the answer
# is in $tmp/reply, its header in $tmp/head.  000: no HTTP came back.
ask() {
	local path=$1 type=$2 file=$3 name=$4 who=() said
	shift 4
	[ "$name" = - ] || who=(--cert "$ids/$name.pem" --key "$ids/$name.key")
	: >"$tmp/reply"
	: >"$tmp/head"
	# shellcheck disable=SC2086
	said=$(curl -sS $tls_only --max-time 20 --cacert "$DOMAIN_CA" "${who[@]}" \
	    -o "$tmp/reply" -D "$tmp/head" -w '%{http_code} %{time_total}' \
	    -H "Content-Type: $type" -H 'Expect:' --data-binary "@$file" \
	    "$@" "https://$REGISTRAR$path" 2>"$tmp/curl") || true
	# shellcheck disable=SC2034
	read -r code took <<<"$said"
}
# line NAME CAME: this case's; took is ask's.
line() {
	same_registrar "$1"
	awk -v t="$took" 'BEGIN { exit !(t < 5) }' || fail "$1: took $took s"
	printf '%-46s %-64.64s %6.3f s %6d KiB\n' "$1" "$2" "$took" "$(resident REGISTRAR)"
}
# What stood in the queue before: the scripts set it.
stored=
unchanged() {
	[ "$(queue_kinds)" = "$stored" ] || { queue_kinds; fail "$1: the queue has changed"; }
}
first_line() { head -n 1 "$tmp/reply" | tr -d '\0'; }

# cmp_bad NAME WANT FILE TLS-NAME: WANT is "BODY FAILINFO", a HTTP status,
# "unread FAILINFO" for an error about what no reader of requests can read,
# "closed", or "no handshake": the registrar itself says so, by an alert.
cmp_bad() {
	local name=$1 want=$2 file=$3 said
	ask "$CMP" "$CMP_TYPE" "$file" "$4"
	case $want in
	closed) [ "$code" = 000 ] || fail "$name: HTTP $code, wanted none"
		! grep -q 'could not load' "$tmp/curl" ||
			fail "$name: by the client itself: $(cat "$tmp/curl")"
		said=closed ;;
	"no handshake") [ "$code" = 000 ] || fail "$name: HTTP $code, wanted none"
		grep -q 'alert handshake failure' "$tmp/curl" ||
			fail "$name: not by the registrar: $(cat "$tmp/curl")"
		said="alert handshake failure" ;;
	unread*) said=$("$cmp_tool" show "$tmp/reply" 2>&1) ||
		fail "$name: HTTP $code, wanted $want: $said"
		[[ $said = "body=error status=rejection fail=${want#* } "* ]] ||
			fail "$name: wanted $want: $said" ;;
	4*) [ "$code" = "$want" ] || fail "$name: HTTP $code, wanted $want"
		said="HTTP $code $(first_line)" ;;
	*) said=$("$cmp_tool" check "$file" "$tmp/reply" "$DOMAIN_CA" 2>&1) ||
		fail "$name: HTTP $code, wanted $want: $said"
		[[ $said = "body=${want% *} status=rejection fail=${want#* } "* ]] ||
			fail "$name: wanted $want: $said" ;;
	esac
	unchanged "$name"
	said=${said/#body=/}
	line "$name" "${said/ status=rejection fail=/ }"
}
# voucher_bad NAME WANT FILE TLS-NAME: WANT is a HTTP status, or "closed".
voucher_bad() {
	local name=$1 want=$2
	ask "$BRSKI/requestvoucher" "$VOUCHER_TYPE" "$3" "$4"
	[ "$want" != closed ] || want=000
	[ "$code" = "$want" ] || fail "$name: HTTP $code, wanted $2: $(first_line)"
	unchanged "$name"
	line "$name" "${code/000/closed} $(first_line)"
}
# ir OUT NAME: signed by it; its chain as its file has it.
ir() { "$cmp_tool" make ir "$ids/$2.key" "$ids/$2.pem" "$1"; }
# voucher_request OUT NAME [SERIAL [REGISTRAR]]
voucher_request() {
	voucher_json "${3:-$2}" "$(openssl rand -base64 16)" \
	    "${4:-$tmp/registrar.pem}" >"$tmp/json"
	cms_sign "$tmp/json" "$1" "$ids/$2.crt" "$ids/$2.key" \
	    -certfile "$ids/$2.chain.pem" 2>"$tmp/openssl" ||
		{ cat "$tmp/openssl"; fail "no voucher request of $2"; }
}

# next_good NAME: a device of the maker joins.
next_good() {
	local start now
	device "$1"
	start=$(date +%s%N)
	join "$1" >"$tmp/$1.log" 2>&1 || { cat "$tmp/$1.log"; fail "$1 did not join"; }
	now=$(date +%s%N)
	took=$(awk -v n=$((now - start)) 'BEGIN { printf "%.3f", n / 1e9 }')
	verify_ldevid "$1" >/dev/null || fail "$1: not verified"
	line "a good device" "joins"
}
# The log is lines that each say when, how bad, who, what; plain text.
log_in_lines() {
	local odd
	odd=$(LC_ALL=C grep -avE '^[0-9T:.-]+Z (alarm|error|warn|info|debug) waybill-[a-z-]+ event=[a-z.-]+' "$REGISTRAR_LOG" || true)
	[ -z "$odd" ] || { echo "$odd" | head; fail "the log has lines of somebody else's"; }
	! LC_ALL=C grep -aqP '[\x00-\x08\x0b-\x1f\x7f-\xff]' "$REGISTRAR_LOG" ||
		fail "the log has octets that are no text"
}
