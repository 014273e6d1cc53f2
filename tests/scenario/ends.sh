# Helpers for scenarios in which entries are ended and stores are put back;
# sourced after lib.sh.
# shellcheck shell=bash disable=SC2154 # lib.sh sets them

queue() { "$waybill" queue "$@" --socket "$REGISTRAR_CONTROL"; }
entries() { queue list --json; }

# entry_of NAME: the id of the device's newest request.
entry_of() {
	entries | python3 -c '
import json, sys
print([e["id"] for e in json.load(sys.stdin)["entries"]
       if e["device"] == sys.argv[1] and e["step"] == 0 and
       e["kind"] == "cmp"][-1])' "$1"
}

# withdrawals STATE: how many withdrawals are in this state.
withdrawals() {
	entries | python3 -c '
import json, sys
print(sum(e["kind"] == "withdraw" and e["state"] == sys.argv[1]
          for e in json.load(sys.stdin)["entries"]))' "$1"
}
withdrawals_are() { [ "$(withdrawals "$1")" = "$2" ]; }
is_late() {
	entries | python3 -c '
import json, sys
sys.exit(0 if any(e["late"] and e["device"] == sys.argv[1]
                  for e in json.load(sys.stdin)["entries"]) else 1)' "$1"
}

# ra_get PATH; ra_case NAME FIELD: of the RA's case of the device's newest
# request.
ra_get() { curl -s --unix-socket "$RA_CONTROL" "http://localhost$1"; }
ra_case() {
	ra_get "/v1/entries" | python3 -c '
import json, sys
print([c[sys.argv[2]] for c in json.load(sys.stdin)["entries"]
       if c["entry"] == sys.argv[1]][-1])' "$(entry_of "$1")" "$2"
}

# enrol_waiting NAME [OPTIONS...]: in the background; sets pid.
enrol_waiting() {
	local name=$1
	shift
	device "$name"
	enrol "$name" "$@" >"$tmp/$name.log" 2>&1 &
	pid=$!
	children="$children $pid"
	wait_for 10 grep -q waiting "$tmp/$name.log" ||
		{ cat "$tmp/$name.log"; fail "$name does not wait"; }
}

# told NAME PID TEXT: the device ends with a refusal that says so.
told() {
	local status=0
	wait "$2" || status=$?
	if [ "$status" != 4 ] || ! grep -q "$3" "$tmp/$1.log"; then
		cat "$tmp/$1.log"
		fail "$1 ends with $status, not with: $3"
	fi
	grep "$3" "$tmp/$1.log" | tail -n 1
}

never_issued() {
	[ "$(issued_to "$1")" = 0 ] || fail "$1: issued $(issued_to "$1")"
}
once_issued() {
	[ "$(issued_to "$1")" = 1 ] || fail "$1: issued $(issued_to "$1")"
}

# in_flight NAME: its request has left for good, and the RA never gets it: the
# forwarder has it and stops.  The link is up for the registrar.  Sets pid.
in_flight() {
	device "$1"
	kill -STOP "$(cat "$FORWARDER_PID")"
	enrol "$1" >"$tmp/$1.log" 2>&1 &
	pid=$!
	children="$children $pid"
	wait_for 10 has_state "$1" in-flight ||
		{ queue_states; fail "$1 is not in flight"; }
}

# Whether a request waits to be read by an RA that stands still.
request_arrived() {
	python3 - "${RA_LINK##*:}" <<'PY'
import sys
port = f"{int(sys.argv[1]):04X}"
for line in open("/proc/net/tcp", encoding="ascii"):
    field = line.split()
    if field[1].endswith(":" + port) and field[3] == "01":
        if int(field[4].split(":")[1], 16) > 2000:
            sys.exit(0)
sys.exit(1)
PY
}
issued() { [ "$(issued_to "$1")" = 1 ]; }

said() { grep -q "event=$2 " "$1"; }

# put_aside NAME FOLDER COPY: its store, while the daemon stands still.
# put_back NAME FOLDER COPY: the daemon ends, its folder becomes the copy's, and
# it is started again.
folder_of() { sed -n 's/^ *directory: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$1" | head -n 1; }
put_aside() {
	local pid
	pid=$(cat "$(eval "echo \"\$$1_PID\"")")
	kill -STOP "$pid"
	cp -a "$2" "$3"
	kill -CONT "$pid"
	rm -f "$3/lock.mdb"
}
put_back() {
	local file old supervisor
	file=$(eval "echo \"\$$1_PID\"")
	old=$(cat "$file")
	supervisor=$(cat "$demo/supervisor.pid")
	kill -STOP "$supervisor"
	kill -9 "$old"
	wait_for 5 gone "$old" || fail "$1 does not end"
	rm -rf "$2"
	cp -a "$3" "$2"
	kill -CONT "$supervisor"
	wait_for 10 pid_changed "$file" "$old" || fail "$1 was not restarted"
}
# A child that its stopped parent has not waited for counts as gone.
gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status"; }
