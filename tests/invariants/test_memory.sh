#!/bin/bash
# Where the memory does not hold all layers at once, one at a time gives the same bits, within the
# memory that was given.
#   tests/invariants/test_memory.sh
# PATCHBAY: the program; PYTHON: an interpreter with h5py and numpy.
cd "$(dirname "$0")/../.." || exit 1
patchbay=${PATCHBAY:-build/release/patchbay}
python=${PYTHON:-python3}
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0
cat >"$temp/run.yaml" <<-END
	model: {path: data/boxbench}
	task: {name: box, boxes: 3, moves: 2, pairs: 3}
	sweep:
	  - {intervention: patch, site: z, direction: denoise, positions: all}
	  - {intervention: patch, site: mlp_out, direction: noise, positions: last}
	  - {intervention: path, sender: head, receiver: v, heads: [2]}
	engine: {backend: cpu, chunk: 2}
END
told() {
	local label=$1
	shift
	if "$@" >"$temp/log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$label: FAILED:"
		sed 's/^/  /' "$temp/log"
	fi
}
plan() { "$patchbay" run "$temp/run.yaml" --dry-run "$@"; }
one_at_a_time() { plan "$@" | grep -q '^weights  *one layer at a time'; }
all_at_once() { ! one_at_a_time "$@"; }
same() { "$python" tests/golden/compare_backends.py "$temp/$1.h5" "$temp/all.h5" 0; }

# The least memory in which all layers stay, from the plan's own words.
all=$(plan | sed -n 's/^memory  *\([0-9]*\) MiB at most.*/\1/p')
least=$all
while [ "$least" -gt 1 ] && all_at_once --memory "${least}M" 2>/dev/null &&
	plan --memory "${least}M" >/dev/null 2>&1; do
	least=$((least - 1))
done
told "less memory than all layers take is enough" one_at_a_time --memory "${least}M"
told "as much as they take holds them all" all_at_once --memory "$((all + 8))M"
told "all layers" "$patchbay" run "$temp/run.yaml" -o "$temp/all.h5" -q
told "one layer at a time" "$patchbay" run "$temp/run.yaml" -o "$temp/one.h5" -q --memory "${least}M"
told "the same bits" same one
told "verified" "$patchbay" verify "$temp/one.h5"
# Nothing is left to be smaller, and that is said.
"$patchbay" run "$temp/run.yaml" -o "$temp/none.h5" -q --memory 20M >"$temp/said" 2>&1
told "too little is refused" test $? -eq 2
told "with what would do" grep -q 'the run needs at least' "$temp/said"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
