#!/usr/bin/env bash
# Result files of real runs, opened the way users open them (h5py, xarray) by check_file.py: the
# bundled model with every metric and corruption, a golden model, and files of a made-up experiment.
# Then spoiled copies, which check_file.py must refuse.
set -uo pipefail
cd "$(dirname "$0")/../.."
patchbay=${PATCHBAY:-build/release/patchbay}
python=${PYTHON:-python3}
build=${BUILD:-build/release}
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

echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
