#!/bin/sh
# Run Patchbay on every golden of sweeps (or the models named) and compare with the float64
# reference.
#   tests/golden/run_sweeps.sh [MODEL...]
# PATCHBAY: the binary; PYTHON: an interpreter with h5py and numpy; SWEEPS: the folder of goldens;
# GRAPHS: a model (or all) that is run on a GPU, or on the emulated one, a second time with engine.graphs:
# the same bits, and graphs that are mostly updated instead of made.
cd "$(dirname "$0")/../.." || exit 1
patchbay=${PATCHBAY:-build/release/patchbay}
python=${PYTHON:-python3}
sweeps=${SWEEPS:-tests/golden/sweeps}
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
passed=0
failed=0

# few_made LOG: of what the run says of its graphs
few_made() {
	sed -n 's/.*graphs: \([0-9]*\) launched, .* \([0-9]*\) updated, \([0-9]*\) made$/\1 \2 \3/p' "$1" |
		awk '{ good = $1 > 20 && $1 == $2 + $3 && ($1 < 500 || $2 > 5 * $3) } END { exit !good }'
}
# with_graphs RUN RESULT
with_graphs() {
	"$patchbay" run "$1" -o "$temp/graphs.h5" --force --set engine.graphs=on >"$temp/log" 2>&1 &&
		few_made "$temp/log" && "$python" tests/golden/compare_bits.py "$temp/graphs.h5" "$2" >>"$temp/log" 2>&1
}

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
		case $run in */readings.yaml) continue ;; esac # its sweeps have few blocks
		case ${GRAPHS:-} in "$name" | all) ;; *) continue ;; esac
		if with_graphs "$run" "$result"; then
			echo "$label, graphs: $(tail -n 1 "$temp/log"); $(grep -o 'graphs:.*' "$temp/log")"
			passed=$((passed + 1))
		else
			echo "$label, graphs: FAILED:"
			sed 's/^/  /' "$temp/log"
			failed=$((failed + 1))
		fi
	done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
