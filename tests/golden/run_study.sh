#!/usr/bin/env bash
# What summaries say of sets and of matched pairs, in files of real runs, computed again by numpy
# (check_study.py); the same bits whatever the chunks and threads. Then spoiled copies, which
# check_study.py must refuse.
set -uo pipefail
cd "$(dirname "$0")/../.."
patchbay=${PATCHBAY:-build/release/patchbay}
python=${PYTHON:-python3}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# check WHAT COMMAND...
check() {
	local what=$1 output
	shift
	if output=$("$@" 2>&1); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf '%s: failed\n%s\n' "$what" "$output"
	fi
}

config() { # FILE PAIRS CHUNK SEED: the model, the pairs and what is stored; rows follow
	cat >"$1" <<-END
		model: {path: data/boxbench}
		task: {name: box, boxes: 3, moves: 2, pairs: $2, corrupt: ${CORRUPT:-state}, seed: $4}
		metrics: [logit_diff, rank]
		readings: none
		engine: {chunk: $3}
		sweep:
	END
}

ranking() { # the file that sets of the strongest heads are taken from
	config "$work/first.yaml" 6 6 1
	echo "  - {site: z}" >>"$work/first.yaml"
	"$patchbay" run --quiet "$work/first.yaml" -o "$work/first.h5"
}

sets_rows() {
	cat <<-END
		  - intervention: zero
		    sets:
		      readers: [L0H7, L0H3]
		      mixed: [L0H7, M0]
		      top: {file: $work/first.h5, k: 3}
		      random: {size: each, count: 7, seed: 5}
		  - intervention: resample
		    complement: true
		    sets:
		      half: [L0H7, L0H3, L1H5, L2H0, L2H4, L1H6]
		      empty: []
		      top: {file: $work/first.h5, layers: [0, 1, 2]}
		      random: {size: each, count: 4, match: layer}
		  - intervention: scale
		    alpha: [0, 2]
		    sets: {circuit: [L0H7, L2H0, L1H5], random: {size: 3, count: 5}}
		  - {sets: {circuit: [L0H7, L2H0, L1H5], random: {size: each, count: 5}}}
		  - {sets: {pairs: all, random: {size: 2, count: 3}}, positions: last, intervention: mean}
		  - {site: z, positions: each}
	END
}

# run_sets FILE CHUNK
run_sets() {
	config "$1.yaml" 7 "$2" 0
	sets_rows >>"$1.yaml"
	"$patchbay" run --quiet "$1.yaml" -o "$1.h5" && "$patchbay" verify "$1.h5"
}

matched_rows() {
	cat <<-END
		  - {site: z, positions: last}
		  - {site: z, positions: [action], direction: noise}
		  - {site: z, positions: each, layers: [2]}
		  - {intervention: zero, sets: {circuit: [L0H7, L2H0]}}
	END
}

# shuffled_pairs FILE N: matched pairs in an odd order, without the first one's partner
shuffled_pairs() {
	"$patchbay" prompts box --boxes 3 --moves 2 --pairs "$2" --corrupt matched --seed 3 |
		sed 2d | sort -r >"$1"
}

# run_matched FILE CHUNK: pairs of a task;  run_shuffled FILE CHUNK: those of a file
run_matched() {
	CORRUPT=matched config "$1.yaml" 8 "$2" 0
	matched_rows >>"$1.yaml"
	"$patchbay" run --quiet "$1.yaml" -o "$1.h5" && "$patchbay" verify "$1.h5"
}
run_shuffled() {
	shuffled_pairs "$work/pairs.jsonl" 10
	config "$1.yaml" 8 "$2" 0
	sed -i "s|^task:.*|pairs: $work/pairs.jsonl|" "$1.yaml"
	matched_rows >>"$1.yaml"
	"$patchbay" run --quiet "$1.yaml" -o "$1.h5" && "$patchbay" verify "$1.h5"
}

# same A B: every dataset of the summaries is the same to the bit
same() {
	"$python" - "$1" "$2" <<-END
		import sys, h5py, numpy as np
		a, b = (h5py.File(path) for path in sys.argv[1:])
		n = 0
		for sweep in a["sweeps"]:
		    names = []
		    a["sweeps"][sweep]["summary"].visit(names.append)
		    for name in names:
		        x, y = (f["sweeps"][sweep]["summary"][name] for f in (a, b))
		        if isinstance(x, h5py.Dataset):
		            assert x[...].tobytes() == y[...].tobytes(), (sweep, name)
		            n += 1
		assert n > 0
	END
}

check "a first run, to rank heads" ranking
check "sets" run_sets "$work/sets" 3
check "sets, by numpy" "$python" tests/golden/check_study.py "$work/sets.h5"
check "sets, as any other file" "$python" tests/golden/check_file.py "$work/sets.h5"
check "sets in one chunk on one thread" env OMP_NUM_THREADS=1 bash -c "$(declare -f config sets_rows \
	run_sets); patchbay=$patchbay work=$work; run_sets $work/again 7"
check "the same bits" same "$work/sets.h5" "$work/again.h5"

check "matched pairs" run_matched "$work/matched" 3
check "matched pairs, by numpy" "$python" tests/golden/check_study.py "$work/matched.h5"
check "matched pairs, as any other file" "$python" tests/golden/check_file.py "$work/matched.h5"
check "matched pairs in one chunk" run_matched "$work/matched_again" 8
check "the same bits of them" same "$work/matched.h5" "$work/matched_again.h5"
check "shuffled matched pairs" run_shuffled "$work/shuffled" 4
check "shuffled matched pairs, by numpy" "$python" tests/golden/check_study.py "$work/shuffled.h5"
unmatched() {
	"$python" -c "import h5py, sys
g = h5py.File(sys.argv[1])['sweeps/0_patch_z_denoise_last/summary/matched'].attrs
assert g['n_pairs_unmatched'] == 1 and g['n_groups_total'] == 4, dict(g)" "$work/shuffled.h5"
}
check "a pair without its partner is counted" unmatched

# refused FILE CODE: CODE spoils the open h5py file f
refused() {
	local copy=$work/spoiled.h5
	cp "$1" "$copy" && "$python" -c "import h5py, sys
with h5py.File(sys.argv[1], 'r+') as f: $2" "$copy" &&
		! "$python" tests/golden/check_study.py "$copy"
}
zero="f['sweeps/0_zero_sets_z_noise_all/summary']"
circuit="f['sweeps/1_resample_sets_z_noise_all_complement/summary']"
check "an accuracy that is not" refused "$work/sets.h5" "$zero['accuracy'][0] += 0.1"
check "a p that is not" refused "$work/sets.h5" "$zero['p_random_effect'][0] += 0.125"
check "an interval that is not" refused "$work/sets.h5" "$circuit['faithfulness_ci_low'][0] += 1e-6"
matched="f['sweeps/0_patch_z_denoise_last/summary/matched']"
check "a difference that is not" refused "$work/matched.h5" \
	"$matched['restoration_difference'][0, 0] += 1e-6"
check "a corrected p that is not" refused "$work/matched.h5" "$matched['p_fwer'][0, 0] += 0.125"

echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
