#!/usr/bin/env bash
# Result files of real runs, opened the way users open them (h5py, xarray) by check_file.py: the
# bundled model with every metric and corruption, a golden model, and files of a made-up experiment.
# One of each kind, a part and an evaluation too, is read whole by h5dump and ncdump, without a word of
# complaint. Then spoiled copies, which check_file.py must refuse.
set -uo pipefail
cd "$(dirname "$0")/../.."
patchbay=${PATCHBAY:-build/release/patchbay}
python=${PYTHON:-python3}
build=${BUILD:-build/release}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

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

# made_and_checked FILE run-arguments...
made_and_checked() {
	local file=$1
	shift
	"$patchbay" run --quiet -o "$file" "$@" && "$patchbay" verify "$file" &&
		"$python" tests/golden/check_file.py "$file"
}
for corrupt in state action distractor; do
	check "box, $corrupt" made_and_checked "$work/$corrupt.h5" configs/box-demo.yaml \
		--set task.corrupt=$corrupt --set task.pairs=6 --set engine.chunk=4 \
		--set 'metrics=[candidates, prob, logprob, rank, kl]'
done
check "a golden model" made_and_checked "$work/golden.h5" tests/golden/engine/gpt2_plain/run.yaml

mkdir "$work/sample"
sample_files() {
	PB_SAMPLE_DIR=$work/sample "$build/tests/unit/test_results" --filter results/sample_files &&
		"$python" tests/golden/check_file.py "$work"/sample/*.h5
}
check "a made-up experiment" sample_files

check "an evaluation" "$patchbay" eval --quiet -o "$work/eval.h5" configs/dfa-grid.yaml \
	--set task.prompts=2 --set 'grid.steps=[3]'
# A run that a full disk ends leaves its parts.
parts() {
	(ulimit -f 150 && ! "$patchbay" run --quiet -o "$work/unfinished.h5" \
		tests/golden/engine/gpt2_plain/run.yaml --set engine.chunk=3 2>/dev/null) &&
		mv "$work"/unfinished.h5.parts/chunk-*.h5 "$work"
}
check "parts of a run that did not end" parts

# without_complaint COMMAND...: it ends well and writes nothing on stderr
without_complaint() {
	local complaint
	complaint=$("$@" 2>&1 >/dev/null) && [ -z "$complaint" ] ||
		{ printf '%s\n' "$complaint" | head -5; false; }
}
for tool in h5dump ncdump; do
	for file in "$work"/{state,golden,eval,chunk-00000}.h5 "$work"/sample/*.h5; do
		if ! command -v $tool >/dev/null; then
			skipped=$((skipped + 1))
		elif [ $tool = h5dump ] || [[ $file != */chunk-* ]]; then # parts are no netCDF
			check "$tool ${file##*/}" without_complaint $tool "$file"
		fi
	done
done

# refused WHAT CODE: CODE spoils the open h5py file f
refused() {
	local copy=$work/spoiled.h5
	cp "$work/state.h5" "$copy" &&
		"$python" -c "import h5py, sys
with h5py.File(sys.argv[1], 'r+') as f: $1" "$copy" &&
		! "$python" tests/golden/check_file.py "$copy"
}
sweep="f['sweeps/0_patch_z_denoise_all']"
check "a changed value" refused "$sweep['logit_diff'][0, 0, 0] += 1"
check "a summary that does not follow" refused "$sweep['summary/effect'][0, 0] *= -1"
check "a dimension without its scale" refused "$sweep['logit_diff'].dims[1].detach_scale(f['layer'])"
check "a dataset without units" refused "del $sweep['logit_diff'].attrs['units']"

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
