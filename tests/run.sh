#!/usr/bin/env bash
# Run tests and sum what they say: tests/run.sh TEST... (the Makefile's `test`, `unit`, `asan`).
#
# A TEST that ends in .sh or .py prints as its last line "N passed, N failed[, N skipped]"; any
# other is a Criterion binary. A test that dies, runs too long or says nothing counts as one failure more.
# With a sanitizer build, each report of a sanitizer is a failure too, leaks included: Criterion
# itself does not see them. The last line is the total; status 1 when anything failed.
#
# From the environment: BUILD (build/release), PATCHBAY, PYTHON, CC, PKG_CONFIG for the scripts,
# PB_TOKENIZERS (a folder with the tokenizers too large for this repository, by default
# ../shared/tokenizers; without it their tests are skipped), PB_TEST_TIMEOUT (seconds a test, 1800).
set -uo pipefail
cd "$(dirname "$0")/.."

BUILD=${BUILD:-build/release}
export BUILD
export PATCHBAY=${PATCHBAY:-$PWD/$BUILD/patchbay}
export PYTHON=${PYTHON:-python3}
if [ -z "${PB_TOKENIZERS:-}" ] && [ -d ../shared/tokenizers ]; then
	PB_TOKENIZERS=$(cd ../shared/tokenizers && pwd)
	export PB_TOKENIZERS
fi
timeout_s=${PB_TEST_TIMEOUT:-1800}
# Threads that wait for each other by spinning take whole cores from other tests and jobs.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
logs=$BUILD/test-logs
rm -rf "$logs"
mkdir -p "$logs/sanitizer"

# Reports go to files: a test that expects a failing status must not take a report for it.
# Allocations of absurd sizes return NULL, as they do without the sanitizer. Stacks that end in a
# library's function are whole with ASAN_OPTIONS=fast_unwind_on_malloc=0 (slow).
reports=$PWD/$logs/sanitizer/report
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$reports:detect_leaks=1:allocator_may_return_null=1:exitcode=99:detect_stack_use_after_return=1
export UBSAN_OPTIONS=log_path=$reports:print_stacktrace=1:exitcode=99
[ -f tests/lsan.supp ] && export LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0

passed=0 failed=0 skipped=0
total_passed=0 total_failed=0 total_skipped=0
failures=()

# read_criterion TAP: the counts of a Criterion binary's TAP file
read_criterion() {
	[ -f "$1" ] || return 1
	skipped=$(grep -c '^ok .*# SKIP' "$1")
	passed=$(($(grep -c '^ok ' "$1") - skipped))
	failed=$(grep -c '^not ok ' "$1")
	local planned
	planned=$(sed -n 's/^1\.\.\([0-9][0-9]*\)$/\1/p' "$1" | head -n 1)
	# Tests that were planned and never reported are failures.
	[ -n "$planned" ] && [ $((passed + failed + skipped)) -ge "$planned" ]
}

# read_script LOG: the counts of a script's last line
read_script() {
	local last
	last=$(tail -n 1 "$1")
	[[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]] || return 1
	passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]} skipped=${BASH_REMATCH[4]:-0}
}

# sanitizer_reports: the files with a report (a mere warning, of an absurd size, is none)
sanitizer_reports() {
	grep -lE 'ERROR: |runtime error:' "$logs"/sanitizer/* 2>/dev/null
}

# run_one TEST
run_one() {
	local test=$1 name log tap status reason='' found
	name=${test#"$BUILD"/tests/}
	name=${name#tests/}
	log=$logs/${name//\//-}.log
	tap=$logs/${name//\//-}.tap
	passed=0 failed=0 skipped=0
	local start=$SECONDS
	case $test in
	*.sh) timeout "$timeout_s" bash "$test" >"$log" 2>&1 </dev/null ;;
	*.py) timeout "$timeout_s" "$PYTHON" "$test" >"$log" 2>&1 </dev/null ;;
	*) timeout "$timeout_s" "$test" --tap="$tap" >"$log" 2>&1 </dev/null ;;
	esac
	status=$?
	case $test in
	*.sh | *.py) read_script "$log" || reason="no line of totals" ;;
	*) read_criterion "$tap" || reason="not every test reported" ;;
	esac
	[ $status -eq 124 ] && reason="ran longer than $timeout_s s"
	if [ $status -ne 0 ] && [ "$failed" -eq 0 ] && [ -z "$reason" ]; then
		reason="exit status $status"
	fi
	[ -n "$reason" ] && failed=$((failed + 1))
	for found in $(sanitizer_reports); do
		failed=$((failed + 1))
		reason="${reason:+$reason; }sanitizer report"
		cat "$found" >>"$log"
		rm -f "$found"
	done
	# The undefined-behaviour sanitizer of gcc heeds no log_path.
	if [ "$failed" -eq 0 ] && grep -q ': runtime error: ' "$log"; then
		failed=1
		reason="sanitizer report"
	fi
	printf '%-44s %6d %6d %7d %5ds  %s\n' "$name" "$passed" "$failed" "$skipped" \
		$((SECONDS - start)) "$reason"
	if [ "$failed" -ne 0 ]; then
		sed 's/^/    | /' "$log" | tail -n 120
		failures+=("$name: $failed${reason:+, $reason}")
	fi
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
	total_skipped=$((total_skipped + skipped))
}

# Read whole before anything runs: this file may be edited while it does.
main() {
	printf '%-44s %6s %6s %7s\n' test passed failed skipped
	for test in "$@"; do
		run_one "$test"
	done
	[ ${#failures[@]} -eq 0 ] || printf 'failed in %s\n' "${failures[@]}"
	echo "$total_passed passed, $total_failed failed, $total_skipped skipped" | tee "$logs/total"
	[ "$total_failed" -eq 0 ] && [ "$total_passed" -gt 0 ]
	exit
}
main "$@"
