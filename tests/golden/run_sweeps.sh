#!/bin/sh
# Run Patchbay on every golden of sweeps (or the models named) and compare with the float64
# reference.
#   tests/golden/run_sweeps.sh [MODEL...]
# PATCHBAY: the binary; PYTHON: an interpreter with h5py and numpy; SWEEPS: the folder of goldens.
cd "$(dirname "$0")/../.." || exit 1
patchbay=${PATCHBAY:-build/release/patchbay}
python=${PYTHON:-python3}
sweeps=${SWEEPS:-tests/golden/sweeps}
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
passed=0
failed=0

[ $# -gt 0 ] || set -- "$sweeps"/*/
for model; do
	name=$(basename "$model")
	for run in "$sweeps/$name"/*.yaml; do
		label=$name/$(basename "$run" .yaml)
		result=$temp/result.h5
		rm -f "$result"
		if ! "$patchbay" run "$run" -o "$result" >"$temp/log" 2>&1; then
			echo "$label: FAILED: patchbay run:"
			sed 's/^/  /' "$temp/log"
			failed=$((failed + 1))
		elif ! "$patchbay" verify "$result" >"$temp/log" 2>&1; then
			echo "$label: FAILED: patchbay verify:"
			sed 's/^/  /' "$temp/log"
			failed=$((failed + 1))
		elif ! "$python" tests/golden/compare_sweeps.py "$result" "${run%.yaml}.h5" \
			>"$temp/log" 2>&1; then
			echo "$label: FAILED: compared with float64:"
			grep -v ': off by [^ ]*$' "$temp/log"
			failed=$((failed + 1))
		else
			echo "$label: $(tail -n 1 "$temp/log")"
			passed=$((passed + 1))
		fi
	done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
