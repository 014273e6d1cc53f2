# Helpers for scenarios with vouchers, and those of lib.sh; sourced.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# shellcheck disable=SC2034
BRSKI=/.well-known/brski
# shellcheck disable=SC2034
VOUCHER_TYPE=application/voucher-cms+json

# join NAME [OPTIONS...]: the whole of BRSKI-AE, the maker's anchor being all
# that the device knows; with & behind it, $! is the pledge itself.
join() { device_runs enrol "$@"; }
# fetch NAME [OPTIONS...]: the voucher alone.
fetch() { device_runs voucher "$@"; }
device_runs() {
	local what=$1 name=$2 exec=
	shift 2
	[ "$BASHPID" = "$$" ] || exec="exec"
	$exec "$pledge" "$what" --proxy "$PROXY" --vendor-ca "$VENDOR_CA" \
	    --cert "$demo/devices/$name.crt" --key "$demo/devices/$name.key" \
	    --chain "$demo/devices/$name.chain.pem" \
	    --state "$tmp/state-$name" --out "$tmp/$name" --timeout 50 "$@"
}
# join_later NAME [OPTIONS...]: in the background; sets pid.
join_later() {
	: >"$tmp/$1.log" # nobody may read what an earlier one said
	join "$@" >>"$tmp/$1.log" 2>&1 &
	pid=$!
	children="$children $pid"
}
# says NAME LINE: what its log begins a line with.
says() { grep -q "^$2" "$tmp/$1.log"; }
request_digest() { sha256sum <"$tmp/state-$1/voucher-request.der" | cut -d' ' -f1; }

# masa up|down [SWITCHES...]
masa() {
	local how=$1
	shift
	"$waybill" demo masa "$how" --dir "$demo" "$@"
}
# The MASA's memory since its start: its requests, one a line, as
# PATH STATUS SERIAL SHA-256.
masa_asked() {
	curl -s --max-time 5 --cacert "$VENDOR_CA" "https://$MASA/log.json" |
		python3 -c 'import json,sys; [print(e["path"].split("/")[-1], e["status"], e["serial"] or "-", e["sha256"]) for e in json.load(sys.stdin)]'
}
# asked PATH STATUS NAME: how often, since its start.
asked() { masa_asked | grep -c "^$1 $2 $3 " || true; }
# What stands in the MASA's audit log of this device, which outlives it.
audited() {
	local log
	log=$(find "$demo" -path "*/logs/$1.json" | head -n 1)
	[ -n "$log" ] || { echo 0; return; }
	python3 -c 'import json,sys; print(len(json.load(open(sys.argv[1]))["events"]))' "$log"
}

# Entries as KIND DEVICE STEP STATE, oldest first.
queue_kinds() {
	"$waybill" queue list --json --socket "$REGISTRAR_CONTROL" |
		python3 -c 'import json,sys; [print(e["kind"], e["device"], e["step"], e["state"]) for e in json.load(sys.stdin)["entries"]]'
}
# voucher_is NAME STATE: its newest voucher request.
voucher_is() { [ "$(queue_kinds | grep "^voucher $1 0 " | tail -n 1)" = "voucher $1 0 $2" ]; }
enrolment_is() { [ "$(queue_kinds | grep "^cmp $1 0 " | tail -n 1)" = "cmp $1 0 $2" ]; }
# entry_id KIND NAME: of the newest.
entry_id() {
	"$waybill" queue list --json --socket "$REGISTRAR_CONTROL" |
		python3 -c 'import json,sys; print([e["id"] for e in json.load(sys.stdin)["entries"] if (e["kind"], e["device"], e["step"]) == (sys.argv[1], sys.argv[2], 0)][-1])' "$1" "$2"
}
# trail KIND NAME: what `queue show` tells of it.
trail() { "$waybill" queue show "$(entry_id "$1" "$2")" --socket "$REGISTRAR_CONTROL"; }
trail_has() { trail "$1" "$2" | grep -q -- "$3"; }
metric() {
	curl -s --unix-socket "$REGISTRAR_CONTROL" http://localhost/v1/metrics |
		sed -n "s/^waybill_$1_total //p"
}

# joined NAME: one certificate that verifies, one voucher, both told.
joined() {
	verify_ldevid "$1"
	[ "$(issued_to "$1")" = 1 ] || fail "$1: issued $(issued_to "$1")"
	wait_for 5 enrolment_is "$1" confirmed || { queue_kinds; fail "$1: not confirmed"; }
	wait_for 5 voucher_is "$1" confirmed || { queue_kinds; fail "$1: voucher not confirmed"; }
}

# ---- by hand: what a script can do with openssl and curl -----------------

# idevid NAME: its certificate with its chain, for curl.
idevid() { cat "$demo/devices/$1.crt" "$demo/devices/$1.chain.pem" >"$tmp/$1.pem"; }
# The registrar's certificate as a device sees it.
seen_registrar() {
	openssl s_client -connect "$PROXY" -showcerts </dev/null 2>/dev/null |
		openssl x509 -outform PEM
}
# voucher_json SERIAL NONCE REGISTRAR.PEM
voucher_json() {
	openssl x509 -in "$3" -outform DER | python3 -c '
import base64, datetime, json, sys
now = datetime.datetime.now(datetime.timezone.utc)
print(json.dumps({"ietf-voucher-request:voucher": {
    "created-on": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "assertion": "proximity", "nonce": sys.argv[2],
    "serial-number": sys.argv[1],
    "proximity-registrar-cert":
        base64.b64encode(sys.stdin.buffer.read()).decode()}}))' "$1" "$2"
}
# cms_sign JSON OUT CERT KEY [OPTIONS...]; content_type may be another.
content_type=1.2.840.113549.1.9.16.1.40
cms_sign() {
	local in=$1 out=$2 cert=$3 key=$4
	shift 4
	openssl cms -sign -in "$in" -binary -nodetach -nosmimecap \
	    -econtent_type "$content_type" -md sha256 \
	    -signer "$cert" -inkey "$key" -outform DER -out "$out" "$@"
}
# post PATH FILE NAME|- [CURL'S OPTIONS...]: prints the HTTP status; the answer
# is in $tmp/reply, its header in $tmp/head.  "-" has no certificate.
post() {
	local path=$1 file=$2 name=$3 who=()
	shift 3
	[ "$name" = - ] || who=(--cert "$tmp/$name.pem" --key "$demo/devices/$name.key")
	: >"$tmp/reply"
	curl -s --max-time 10 --cacert "$DOMAIN_CA" "${who[@]}" -o "$tmp/reply" \
	    -D "$tmp/head" -w '%{http_code}' -H 'Expect:' --data-binary "@$file" \
	    "$@" "https://$REGISTRAR$path" || true
}
