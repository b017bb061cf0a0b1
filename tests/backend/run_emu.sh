#!/bin/bash
# The op list of this folder on the emulated device: the same binaries, two at a time.
#   tests/backend/run_emu.sh [TEST...]
# BUILD: the folder of the tests; PB_EMU_DIR: the emulated device's plugin. Fibers under a sanitizer
# are slow: there a part of the list runs, which has every kernel that allocates or indexes; its second
# round is in graphs.
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build/release}
emu=${PB_EMU_DIR:-build/emu}
logs=$(mktemp -d) || exit 1
trap 'rm -rf "$logs"' EXIT
trap 'exit 1' HUP INT TERM

if [ $# -eq 0 ]; then
	case $build in
	*asan*) set -- attention_last edits gemm operand score ;;
	*) set -- pattern_edits activation attention attention_delta pattern_exact head_norm norm \
		attention_last device edits gemm graphs operand patterns rows score ;;
	esac
fi
# Each run has a schedule of its own.
printf '%s\n' "$@" | PB_PLUGIN_DIR=$emu PB_TEST_BACKEND=cuda OMP_NUM_THREADS=1 xargs -P "${PB_TESTS_AT_ONCE:-2}" -I{} sh -c \
	"PB_EMU_SEED=\$(printf %s {} | cksum | cut -d' ' -f1) '$build/tests/backend/test_ops_{}' \
	--tap='$logs/{}.tap' -j1 >'$logs/{}.log' 2>&1 || :"
passed=0 failed=0
for name; do
	ok=$(grep -c '^ok ' "$logs/$name.tap" 2>/dev/null)
	bad=$(grep -c '^not ok ' "$logs/$name.tap" 2>/dev/null)
	planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$logs/$name.tap" 2>/dev/null | head -n 1)
	if [ -z "$planned" ] || [ $((ok + bad)) -lt "$planned" ]; then
		bad=$((bad + 1))
	fi
	if [ "$bad" -gt 0 ]; then
		echo "$name: FAILED:"
		tail -n 40 "$logs/$name.log" | sed 's/^/  /'
	fi
	passed=$((passed + ok)) failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
