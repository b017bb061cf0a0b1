#!/bin/sh
# Run Patchbay on every golden model (or those named) and compare with the float64 reference.
#   tests/golden/run_engine.sh [MODEL...]
# PATCHBAY: the binary; PYTHON: an interpreter with h5py and numpy; ENGINE: the folder of goldens;
# COMPARE: the script that compares a result with its expected.h5.
cd "$(dirname "$0")/../.." || exit 1
patchbay=${PATCHBAY:-build/release/patchbay}
python=${PYTHON:-python3}
engine=${ENGINE:-tests/golden/engine}
compare=${COMPARE:-tests/golden/compare_engine.py}
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
passed=0
failed=0

[ $# -gt 0 ] || set -- "$engine"/*/
for model; do
	name=$(basename "$model")
	if ! "$patchbay" run "$engine/$name/run.yaml" -o "$temp/$name.h5" >"$temp/log" 2>&1; then
		echo "$name: FAILED: patchbay run:"
		sed 's/^/  /' "$temp/log"
		failed=$((failed + 1))
	elif ! "$patchbay" verify "$temp/$name.h5" >"$temp/log" 2>&1; then
		echo "$name: FAILED: patchbay verify:"
		sed 's/^/  /' "$temp/log"
		failed=$((failed + 1))
	elif ! "$python" "$compare" "$temp/$name.h5" "$engine/$name/expected.h5" \
		>"$temp/log" 2>&1; then
		echo "$name: FAILED: compared with float64:"
		cat "$temp/log"
		failed=$((failed + 1))
	else
		echo "$name: $(tail -n 1 "$temp/log")"
		passed=$((passed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
