# Helpers for lints; sourced.  A lint is a program of its own, one case of
# ./tests/run --suite lint: it prints what it found and ends 1, or 0 if it
# found nothing, or 77 if its tool is not here.
# shellcheck shell=bash
set -eu

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$here"
# The build that has the options the project is built with.
export WAYBILL_BUILD=${WAYBILL_BUILD:-build}

# files [FIND-EXPRESSION]: what belongs to the tree, built things left out.
files() {
	find . \( -name .git -o -name 'build*' \) -prune -o -type f "$@" -print |
		sed 's|^\./||' | LC_ALL=C sort
}

# need TOOL: a lint whose tool is missing is skipped, and says so.
need() {
	command -v "$1" >/dev/null && return
	echo "$1 is not installed"
	exit 77
}

# An empty list means that the lint looked in the wrong place.
some() {
	[ -n "$1" ] && return
	echo "no files found: nothing was checked"
	exit 1
}
