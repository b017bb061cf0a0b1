#!/usr/bin/env bash
# `patchbay compare` of real runs: the bundled model, a part of its layers, and checkpoints with noise
# in their weights. What it writes is opened and worked out again by check_comparison.py; spoiled
# copies are refused by that; what cannot be compared, and what must not be overwritten, is refused
# by the program.
set -uo pipefail
# shellcheck source=tests/fault/expect.sh
. "$(dirname "$0")/../fault/expect.sh"
python=${PYTHON:-python3}
golden=$root/tests/golden

# made NAME LAYERS NOISE: a model and its run
made() {
	"$python" "$golden/shrink_model.py" "$model" "$1" "$2" "$3" &&
		"$patchbay" run -q "$root/configs/box-demo.yaml" --set model.path="$1" \
			--set task.pairs=20 -o "$1.h5" "${@:4}"
}
mlp='sweep.2={intervention: patch, site: mlp_out, direction: denoise, positions: all}'
succeed made whole 4 0 --set "$mlp"
succeed made small 2 0 --set "$mlp"
succeed made three 3 0.05 --set "$mlp"
# Not right about all pairs.
succeed made early 4 0.3 --set "$mlp"

check() { succeed "$python" "$golden/check_comparison.py" "$@"; }
succeed "$patchbay" compare whole.h5 small.h5 three.h5 early.h5
succeed "$patchbay" compare whole.h5 small.h5 early.h5 three.h5 -o a.h5 --csv a.csv
check a.h5 a.csv
succeed "$patchbay" verify a.h5
succeed "$patchbay" compare early.h5 small.h5 -s patch_z_noise_all --by restoration --bins 7 -n 100 \
	-o b.h5 --csv b.csv
check b.h5 b.csv
succeed "$patchbay" compare whole.h5 three.h5 --sweep 2 --bins 1 -o c.h5 --csv c.csv
check c.h5 c.csv

# spoiled CODE: check_comparison.py refuses a file in which CODE changed the open h5py file f
spoiled() {
	n_checks=$((n_checks + 1))
	cp a.h5 spoiled.h5
	"$python" -c "import h5py
with h5py.File('spoiled.h5', 'r+') as f:
    g = f['comparison']
    $1
    del f['checks/sha256'], f['checks/sha256_path']" || fail "$1" "cannot be done"
	! "$python" -c "import sys; sys.path.insert(0, '$golden')
import check_file, check_comparison
check_file.check_checksums = lambda *args: None
sys.argv[1:] = ['spoiled.h5', 'a.csv']
check_comparison.main()" >spoiled.out 2>&1 || fail "$1" "was not noticed"
	grep -q '^spoiled.h5: ' spoiled.out || fail "$1" "another failure:" "$(tail -n 3 spoiled.out)"
	rm -f spoiled.h5 spoiled.out
}
spoiled "g['gini'][1] += 1e-6"
spoiled "g['depth_share_right'][0, 3] *= 1.001"
spoiled "g['effect_total_ci_low'][2] *= 0.5"
spoiled "g['top_layer'][0, 1] += 1"
spoiled "g['clean_accuracy'][2] -= 0.05"
spoiled "del g['gini'].attrs['units']"
spoiled "del g.attrs['coordinates']"
n_checks=$((n_checks + 1))
sed 's/,gini,,,,,0/,gini,,,,,1/' a.csv >other.csv
! "$python" "$golden/check_comparison.py" a.h5 other.csv >/dev/null 2>&1 ||
	fail "a changed CSV" "was not noticed"

# ---- refusals ------------------------------------------------------------------------------------
expect 2 "missing argument" "$patchbay" compare whole.h5
expect 2 "nothing.h5" "$patchbay" compare whole.h5 nothing.h5
expect 2 "not a result file of patchbay: a.h5" "$patchbay" compare whole.h5 a.h5
expect 2 "not a result file: $model/config.json" "$patchbay" compare whole.h5 "$model/config.json"
expect 2 "the same result twice: small.h5 and ./small.h5" "$patchbay" compare whole.h5 small.h5 ./small.h5
expect 2 "bad value: --by 'logits'" "$patchbay" compare --by logits whole.h5 small.h5
expect 2 "--bins '0'" "$patchbay" compare --bins 0 whole.h5 small.h5
expect 2 "give at most 1000" "$patchbay" compare --bins 1001 whole.h5 small.h5
expect 2 "no such sweep: whole.h5: '9'" "$patchbay" compare -s 9 whole.h5 small.h5
"$patchbay" run -q "$root/configs/box-demo.yaml" --set model.path="$model" \
	--set task.pairs=4 --set task.seed=5 -o other.h5
expect 2 "other.h5: task.seed: 5" "$patchbay" compare whole.h5 other.h5
expect 2 "has no patch_mlp_out_denoise_all" "$patchbay" compare -s 2 --any-task whole.h5 other.h5
expect 2 "its cells are not layers, nor heads of layers" "$patchbay" compare -s 2 other.h5 whole.h5
succeed "$patchbay" compare --any-task whole.h5 other.h5

# ---- outputs -------------------------------------------------------------------------------------
expect 2 "output is there already: a.csv" "$patchbay" compare whole.h5 small.h5 --csv a.csv
expect 2 "output is there already: a.h5" "$patchbay" compare whole.h5 small.h5 -o a.h5
expect 2 "one of the files that are compared" "$patchbay" compare whole.h5 small.h5 -o small.h5 --force
expect 2 "one output for two" "$patchbay" compare whole.h5 small.h5 -o new --csv new
expect 2 "output is not a file: /dev/null" "$patchbay" compare whole.h5 small.h5 --force --csv /dev/null
expect 2 "nowhere" "$patchbay" compare whole.h5 small.h5 -o nowhere/new.h5
expect 1 "new.csv" sh -c "ulimit -f 1; exec '$patchbay' compare whole.h5 small.h5 --csv new.csv"
expect 1 "new.h5" sh -c "ulimit -f 8; exec '$patchbay' compare whole.h5 small.h5 -o new.h5"
expect 1 "standard output" sh -c "exec '$patchbay' compare whole.h5 small.h5 >/dev/full"
succeed "$patchbay" compare whole.h5 small.h5 early.h5 three.h5 -o b.h5 --csv b.csv --force
check b.h5 b.csv
n_checks=$((n_checks + 1))
cmp -s a.csv b.csv || fail "the same comparison again" "other figures"

totals
