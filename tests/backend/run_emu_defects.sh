#!/bin/bash
# The emulated device must notice what would be a defect on a GPU: each of emu_defects.cu is caught
# under at least one of eight schedules, and its correct twin is right under all of them.
#   tests/backend/run_emu_defects.sh
# PB_EMU_DIR: where emu_defects is. Writes past the end of memory are seen by the address sanitizer
# alone: without one they are skipped.
cd "$(dirname "$0")/../.." || exit 1
emu=${PB_EMU_DIR:-build/emu}
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
# Reports of the sanitizer are what is wanted here: they are no failure of the run around this.
export ASAN_OPTIONS=log_path=$temp/report:exitcode=99:detect_stack_use_after_return=1
export UBSAN_OPTIONS=log_path=$temp/report
ulimit -c 0
passed=0 failed=0 skipped=0

# caught NAME PATTERN: what the program says, or is stopped with, under some schedule
caught() {
	local seed
	for seed in 1 2 3 4 5 6 7 8; do
		rm -f "$temp"/report*
		{ "$emu/emu_defects" "$1" $seed; } >"$temp/said" 2>&1
		cat "$temp"/report* >>"$temp/said" 2>/dev/null
		grep -q "$2" "$temp/said" && return 0
	done
	return 1
}
right() {
	local seed
	for seed in 1 2 3 4 5 6 7 8; do
		[ "$("$emu/emu_defects" "$1-fixed" $seed 2>"$temp/said")" = right ] || return 1
	done
}
check() {
	if caught "$1" "$2" && right "$1"; then
		passed=$((passed + 1))
	else
		echo "$1: FAILED: not caught, or its correct twin was:"
		sed 's/^/  /' "$temp/said"
		failed=$((failed + 1))
	fi
}

check missing-barrier '^wrong$'
check missing-warp-barrier '^wrong$'
check order-of-blocks '^wrong$'
check barrier-for-some 'meet at different barriers'
check never-written '^wrong$'
check missing-event '^wrong$'
check read-too-early '^wrong$'
check reused-too-early '^wrong$'
check pageable-copy 'not pinned'
check copy-out-of-range 'not inside a device allocation'
check too-much-shared-memory '^refused'
check too-many-threads '^refused'
for call in wait allocation free event-wait other-stream; do
	check $call-in-capture '^refused'
done
check stale-pointers '^wrong$'
check update-with-more '^refused: end_updated'
check update-in-other-order '^refused: end_updated'
check update-with-another-kernel '^refused: end_updated'
check error-left-behind '^refused: cudaGetLastError'
check reused-before-launch '^wrong$'
check never-launched '^wrong$'
check freed-before-launch 'not inside a device allocation'
case ${BUILD:-} in
*asan*)
	check past-the-end 'heap-buffer-overflow'
	check past-shared-memory 'heap-buffer-overflow'
	;;
*) skipped=2 ;;
esac
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
