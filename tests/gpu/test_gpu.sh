#!/bin/bash
# The cuda backend on a real GPU: the op list, the goldens, the precisions, the same bits twice and in
# graphs, and compute-sanitizer over the op list where it is there (memcheck, racecheck, initcheck).
#   tests/gpu/test_gpu.sh
# BUILD: the folder of the program, its plugin and tests; PYTHON. Without a GPU one skip, and why.
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build/release}
patchbay=${PATCHBAY:-$build/patchbay}
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM

found=$("$patchbay" doctor | sed -n 's/^backend cuda  *//p')
case $found in
'not usable'* | '' | 'emulated device'*)
	echo "no GPU: ${found:-doctor says nothing}"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
	;;
esac
echo "on $found"
passed=0 failed=0 skipped=0

# counts COMMAND...: adds what a script says in its last line
counts() {
	local last
	"$@" >"$temp/log" 2>&1
	last=$(tail -n 1 "$temp/log")
	if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
		passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
	else
		failed=$((failed + 1))
	fi
	echo "$*: $last"
	grep -A 30 FAILED "$temp/log"
}
# told LABEL COMMAND...: one test more
told() {
	local label=$1
	shift
	if "$@" >"$temp/log" 2>&1; then
		passed=$((passed + 1))
		echo "$label: $(tail -n 1 "$temp/log")"
	else
		failed=$((failed + 1))
		echo "$label: FAILED:"
		tail -n 30 "$temp/log" | sed 's/^/  /'
	fi
}

export PB_EMU_DIR=$build PB_PLUGIN_DIR=$build
counts tests/backend/run_emu.sh
told "precisions beside whole forwards" "$build/tests/invariants/test_precision" -j1
python=${PYTHON:-python3}
if "$python" -c 'import h5py, numpy' 2>/dev/null; then
	for goldens in engine sweeps families; do # sweeps with engine.graphs, too: the same bits
		counts env GRAPHS=all PATCHBAY="$patchbay" PYTHON="$python" "tests/golden/run_$goldens.sh"
	done
else
	echo "$python has no numpy or no h5py: results are not compared"
	skipped=1
	python=true
fi
for run in cpu cuda again; do
	backend=${run/again/cuda}
	told "bundled model, $run" "$patchbay" run configs/box-demo.yaml -o "$temp/$run.h5" \
		--backend "$backend" -q
done
told "bundled model, cuda beside cpu" "$python" tests/golden/compare_backends.py \
	"$temp/cuda.h5" "$temp/cpu.h5" 1e-5
told "bundled model, the same bits again" "$python" tests/golden/compare_backends.py \
	"$temp/again.h5" "$temp/cuda.h5" 0
for precision in fp32 tf32 bf16; do
	for graphs in off on; do
		told "bundled model, $precision, graphs $graphs" "$patchbay" run configs/box-demo.yaml \
			-o "$temp/graphs-$graphs.h5" --force --backend cuda --set engine.precision=$precision \
			--set engine.graphs=$graphs
		grep -o 'graphs: .* made' "$temp/log"
	done
	told "bundled model, $precision, the same bits in graphs" "$python" tests/golden/compare_bits.py \
		"$temp/graphs-on.h5" "$temp/graphs-off.h5"
done
# Several at a time: most of what they take is the host's. A test of its own for each tool and list.
sanitized() {
	local name=$1-$2
	PB_TEST_BACKEND=cuda timeout 600 compute-sanitizer --tool "$1" --target-processes all \
		--error-exitcode 9 "$build/tests/backend/test_ops_$2" -j1 >"$temp/$name.log" 2>&1
	echo $? >"$temp/$name.rc"
}
export -f sanitized
export build temp
if command -v compute-sanitizer >/dev/null; then
	for tool in memcheck racecheck initcheck; do
		for test in attention attention_delta attention_last pattern_edits edits gemm norm rows score \
			activation head_norm operand; do
			echo "$tool $test"
		done
	done >"$temp/runs"
	xargs -P "${PB_SANITIZERS:-8}" -L 1 bash -c 'sanitized "$@"' - <"$temp/runs"
	while read -r tool test; do
		told "$tool, $test" bash -c "cat '$temp/$tool-$test.log'; exit $(cat "$temp/$tool-$test.rc")"
	done <"$temp/runs"
else
	echo "compute-sanitizer is not in PATH"
	skipped=$((skipped + 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
