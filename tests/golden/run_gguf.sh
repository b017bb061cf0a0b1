#!/usr/bin/env bash
# The golden models of the families as GGUF files: each run agrees with the float64 reference of the
# model it was made from. The windows of Qwen cannot be said in GGUF: there the reference is a run of
# the same folder without them.
set -uo pipefail
cd "$(dirname "$0")/../.."
patchbay=${PATCHBAY:-build/release/patchbay}
python=${PYTHON:-python3}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
models=tests/golden/families

# run MODEL PATH OUT: the golden's sweeps with the weights at PATH
run() {
	"$patchbay" run --quiet --set model.path="$2" -o "$3" "$models/$1/run.yaml"
}

# agrees MODEL [TYPE]
agrees() {
	rm -f "$work/$1.h5"
	"$python" tests/golden/gguf_of_folder.py "$models/$1" "$work/$1.gguf" "${2:-F32}" &&
		run "$1" "$work/$1.gguf" "$work/$1.h5" &&
		"$python" tests/golden/compare_families.py "$work/$1.h5" "$models/$1/expected.h5"
}

same_cells="
import h5py, numpy, sys
a, b = (h5py.File(path) for path in sys.argv[1:])
for sweep in a['sweeps']:
    x, y = (f['sweeps'][sweep]['logit_diff'][:] for f in (a, b))
    assert x.shape == y.shape and numpy.abs(x - y).max() <= 1e-6 * numpy.abs(x).max(), sweep
"

# agrees_without_windows MODEL
agrees_without_windows() {
	mkdir "$work/$1" && cp "$models/$1"/* "$work/$1" &&
		sed -i -e 's/"use_sliding_window": true/"use_sliding_window": false/' \
			-e 's/"sliding_attention"/"full_attention"/' "$work/$1/config.json" &&
		"$python" tests/golden/gguf_of_folder.py "$work/$1" "$work/$1.gguf" &&
		run "$1" "$work/$1" "$work/$1.folder.h5" && run "$1" "$work/$1.gguf" "$work/$1.h5" &&
		"$python" -c "$same_cells" "$work/$1.folder.h5" "$work/$1.h5"
}

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

for model in gemma gemma2 gemma3_text llama_biases llama_linear llama_llama3 llama_yarn; do
	check "$model" agrees $model
done
for model in qwen2 qwen3; do
	check "$model" agrees_without_windows $model
done
check "gemma2 in BF16" agrees gemma2 BF16
check "llama_linear in F16" agrees llama_linear F16

echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
