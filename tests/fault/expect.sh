# Sourced by the tests that try the command line: a working folder, what a command must say, and
# that a failing one leaves nothing behind. PATCHBAY names the binary (build/release/patchbay).
# shellcheck shell=bash disable=SC2034

root=$(cd "$(dirname "$0")/../.." && pwd)
patchbay=${PATCHBAY:-$root/build/release/patchbay}
case $patchbay in /*) ;; *) patchbay=$PWD/$patchbay ;; esac
model=$root/data/boxbench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

n_checks=0
n_failed=0

fail() {
	n_failed=$((n_failed + 1))
	echo "FAILED: $1"
	shift
	printf '   %s\n' "$@"
}

# All names and contents below the working folder.
snapshot() {
	find . -mindepth 1 -printf '%y %p ' \( -type f -exec sha256sum {} \; -o -printf '\n' \) | sort
}

# expect STATUS TEXT COMMAND...: the exit status; on failure exactly one `patchbay: ` line that holds
# TEXT, and nothing changed on the disk.
expect() {
	local status=$1 text=$2 before after got
	shift 2
	n_checks=$((n_checks + 1))
	before=$(snapshot)
	"$@" >"$work.out" 2>"$work.err"
	got=$?
	after=$(snapshot)
	if [ "$got" != "$status" ]; then
		fail "$*" "status $got, not $status" "$(head -c 600 "$work.err")"
	elif [ "$(grep -c '^patchbay: ' "$work.err")" != 1 ]; then
		fail "$*" "not exactly one message:" "$(head -c 600 "$work.err")"
	elif ! grep -qF -- "$text" "$work.err"; then
		fail "$*" "no '$text' in:" "$(head -c 600 "$work.err")"
	elif [ "$before" != "$after" ]; then
		fail "$*" "left behind:" "$(diff <(echo "$before") <(echo "$after"))"
	fi
	rm -f "$work.out" "$work.err"
}

# succeed COMMAND...
succeed() {
	n_checks=$((n_checks + 1))
	"$@" >"$work.out" 2>"$work.err" || fail "$*" "status $?" "$(head -c 600 "$work.err")"
	rm -f "$work.out" "$work.err"
}

# The last line of a test.
totals() {
	echo "$((n_checks > n_failed ? n_checks - n_failed : 0)) passed, $n_failed failed"
	[ "$n_failed" = 0 ]
}
