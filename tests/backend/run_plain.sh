#!/bin/bash
# The cpu backend where oneDNN is not: its own products, in the op list, the goldens and beside
# oneDNN's on the bundled model.
#   tests/backend/run_plain.sh
# PATCHBAY: the program; BUILD: the folder of the tests; PYTHON.
cd "$(dirname "$0")/../.." || exit 1
patchbay=${PATCHBAY:-build/release/patchbay}
build=${BUILD:-build/release}
python=${PYTHON:-python3}
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0
told() { # LABEL STATUS LOG
	if [ "$2" -eq 0 ]; then
		passed=$((passed + 1))
	else
		echo "$1: FAILED:"
		sed 's/^/  /' "$3"
		failed=$((failed + 1))
	fi
}

for isa in x86-64-v2 x86-64-v3 x86-64-v4; do
	[ "$(uname -m)" = x86_64 ] || isa=''
	# a machine without an instruction set says so by its name
	if ! PB_CPU_ISA=$isa "$patchbay" doctor >"$temp/log" 2>&1 && grep -q 'does not run here' "$temp/log"; then
		continue
	fi
	PB_CPU_PRODUCTS=plain PB_CPU_ISA=$isa "$build/tests/backend/test_ops_gemm" >"$temp/log" 2>&1
	told "products of $isa" $? "$temp/log"
done
PB_CPU_PRODUCTS=plain tests/golden/run_engine.sh >"$temp/log" 2>&1
told "goldens of the engine" $? "$temp/log"
cat >"$temp/run.yaml" <<-END
	model: {path: data/boxbench}
	task: {name: box, boxes: 3, moves: 2, pairs: 4}
	sweep: {intervention: patch, site: z, direction: denoise, positions: all}
	readings: none
END
PB_CPU_PRODUCTS=plain "$patchbay" run "$temp/run.yaml" -o "$temp/plain.h5" -q --threads 1 >"$temp/log" 2>&1 &&
	PB_CPU_PRODUCTS=plain "$patchbay" run "$temp/run.yaml" -o "$temp/two.h5" -q --threads 2 >>"$temp/log" 2>&1 &&
	"$patchbay" run "$temp/run.yaml" -o "$temp/dnnl.h5" -q --threads 1 >>"$temp/log" 2>&1 &&
	"$python" tests/golden/compare_backends.py "$temp/plain.h5" "$temp/dnnl.h5" 1e-5 >>"$temp/log" 2>&1
told "bundled model, beside oneDNN" $? "$temp/log"
"$python" tests/golden/compare_backends.py "$temp/plain.h5" "$temp/two.h5" 0 >"$temp/log" 2>&1
told "the same bits with two threads" $? "$temp/log"
"$python" -c 'import h5py, sys
with h5py.File(sys.argv[1]) as f:
    names = {str(x) for x in f["checks/chunk_isa"].asstr()[:]}
assert all(n.endswith(", own products") for n in names), names' "$temp/plain.h5" >"$temp/log" 2>&1
told "the file says whose products they are" $? "$temp/log"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
