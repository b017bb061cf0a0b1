#!/usr/bin/env bash
# Bad input, tried on the command line itself: each case must give one clear message, status 2, and
# leave nothing behind. Then outputs that are there already, and output that cannot be written.
#
#   bash tests/fault/test_cli.sh          PATCHBAY names the binary (build/release/patchbay)
set -u

# shellcheck source=tests/fault/expect.sh
. "$(dirname "$0")/expect.sh"

# A copy of the model in folder $1.
copy_model() {
	mkdir "$1" && cp "$model"/*.json "$model"/model.safetensors "$1"/
}

# config NAME MODEL [LINES]: a small run.
config() {
	cat >"$1" <<-EOF
		model: {path: $2}
		task: {name: box, boxes: 3, moves: 1, pairs: 2}
		sweep: {site: z, positions: last}
		output: out.h5
		${3:-}
	EOF
}

# pairs_config NAME: the same with the pairs of pairs.jsonl.
pairs_config() {
	cat >"$1" <<-EOF
		model: {path: $model}
		pairs: pairs.jsonl
		sweep: {site: z, positions: last}
		output: out.h5
	EOF
}

# ---- usage -------------------------------------------------------------------------------------
expect 2 "no verb" "$patchbay"
expect 2 "did you mean run?" "$patchbay" rnu
expect 2 "did you mean --help?" "$patchbay" --hlep
expect 2 "missing argument" "$patchbay" run
expect 2 "did you mean --force?" "$patchbay" run --forse x.yaml
expect 2 "--memory '8X'" "$patchbay" run --memory 8X x.yaml
expect 2 "options contradict" "$patchbay" run --force --resume x.yaml
expect 2 "no such pair exists" "$patchbay" prompts box --pairs 1 --boxes 2 --moves 1
expect 2 "out of range: --moves (task.moves): give 1 to 10" "$patchbay" prompts box --pairs 1 --boxes 3 --moves 11
expect 2 "edges out of range: 21 (task dfa): give 5 to 20" "$patchbay" prompts dfa --count 1 --states 5 --steps 5 --edges 21
expect 2 "option does not fit: --states: task box" "$patchbay" prompts box --pairs 1 --states 3
expect 2 "missing option: --states (task dfa)" "$patchbay" prompts dfa --pairs 1
expect 2 "mode 'papers' is not known: --mode" "$patchbay" prompts dfa --count 1 --states 5 --steps 5 --mode papers
expect 2 "did you mean 'box'?" "$patchbay" prompts bix --pairs 1
expect 2 "template of another task: $root/data/templates/dfa.yaml:2:7 (task): of dfa, not of box" \
	"$patchbay" prompts box --pairs 1 --boxes 3 --moves 2 --template "$root/data/templates/dfa.yaml"
expect 2 "option does not fit: template: x.yaml (task factual)" \
	"$patchbay" prompts factual --pairs 1 --triples x.jsonl --template x.yaml
expect 2 "nothing.here" "$patchbay" prompts box --pairs 1 --boxes 3 --moves 2 --template nothing.here
expect 2 "nothing.here" "$patchbay" info nothing.here
expect 2 "nothing.here" "$patchbay" verify nothing.here
expect 2 "nothing.here" "$patchbay" top nothing.here
expect 2 "missing argument" "$patchbay" top
expect 2 "options contradict: --csv and --json" "$patchbay" top --csv --json x.h5
expect 2 "did you mean --sweep?" "$patchbay" top --swep 0 x.h5
expect 2 "not a result file: $model/config.json" "$patchbay" top "$model/config.json"
for verb in run submit prompts info merge verify top compare doctor; do
	succeed "$patchbay" $verb --help
done
succeed "$patchbay" --help
succeed "$patchbay" --version

# ---- configurations ----------------------------------------------------------------------------
config run.yaml "$model"
expect 2 "absent.yaml" "$patchbay" run absent.yaml
config unknown.yaml "$model" "engin: {backend: cpu}"
expect 2 "unknown.yaml:5:1 (engin): did you mean 'engine'?" "$patchbay" run unknown.yaml
expect 2 "--set task.boxs=3" "$patchbay" run --set task.boxs=3 run.yaml
expect 2 "site 'mlp_pre' is not known" "$patchbay" run --set sweep.site=mlp_pre run.yaml
expect 2 "key does not fit: --set sweep.alpha=2 (sweep.alpha)" "$patchbay" run --set sweep.alpha=2 run.yaml
expect 2 "precision bf16 needs a GPU" "$patchbay" run --backend cpu --set engine.precision=bf16 -o x.h5 run.yaml
expect 2 "no such card: --device abacus: known are a100" "$patchbay" run --dry-run --device abacus run.yaml
expect 2 "give --dry-run with it" "$patchbay" run --device h100 -o x.h5 run.yaml
expect 2 "available: auto, cpu, cuda" "$patchbay" run --backend gpu -o x.h5 run.yaml
succeed "$patchbay" run --dry-run --device h100 --set engine.precision=bf16 run.yaml
mkdir plugins
echo 'not a library' >plugins/libpatchbay_cuda_emulated.so
expect 2 "the cuda backend does not load" env PB_PLUGIN_DIR=plugins "$patchbay" run --backend cuda -o x.h5 run.yaml
expect 0 "computing on the processor: the cuda backend does not load" env PB_PLUGIN_DIR=plugins \
	"$patchbay" run --dry-run run.yaml
rm -r plugins
printf 'model: {path: m\nsweep: {site: z}\n' >broken.yaml
expect 2 "not valid YAML: broken.yaml:" "$patchbay" run broken.yaml
rm -f unknown.yaml broken.yaml

# ---- models ------------------------------------------------------------------------------------
mkdir empty
config bad.yaml empty
expect 2 "config.json" "$patchbay" run bad.yaml
expect 2 "config.json" "$patchbay" info empty
config bad.yaml absent
expect 2 "absent" "$patchbay" run bad.yaml

copy_model truncated
truncate -s -4096 truncated/model.safetensors
config bad.yaml truncated
expect 2 "truncated/model.safetensors" "$patchbay" run bad.yaml
truncate -s 5 truncated/model.safetensors
expect 2 "truncated/model.safetensors" "$patchbay" run bad.yaml

# Same bytes, shapes the other way round: the embedding has a row for each token.
copy_model swapped
vocab=$(grep -o '"vocab_size": *[0-9]*' swapped/config.json | grep -o '[0-9]*$')
width=$(grep -o '"\(hidden_size\|n_embd\)": *[0-9]*' swapped/config.json | grep -o '[0-9]*$')
LC_ALL=C sed -i "1,1s/\"shape\":\[$vocab,$width\]/\"shape\":[$width,$vocab]/" swapped/model.safetensors
n_checks=$((n_checks + 1))
if cmp -s swapped/model.safetensors "$model"/model.safetensors; then
	fail "swapped shapes" "no shape was swapped"
fi
config bad.yaml swapped
expect 2 "shape" "$patchbay" run bad.yaml

# The last number of the file becomes a float16 NaN.
copy_model nan
size=$(stat -c %s nan/model.safetensors)
printf '\000\176' | dd of=nan/model.safetensors bs=1 seek=$((size - 2)) conv=notrunc status=none
config bad.yaml nan
expect 2 "nan/" "$patchbay" run bad.yaml
rm -rf empty truncated swapped nan bad.yaml

# ---- pairs -------------------------------------------------------------------------------------
pairs_config pairs.yaml
expect 2 "pairs.jsonl" "$patchbay" run pairs.yaml
echo '{"clean": "The hat is in the Box", "corrupted": "The hat is in Box", "answer": " A", "foil": " B"}' >pairs.jsonl
expect 2 "prompts of unequal length: pairs.jsonl:1" "$patchbay" run pairs.yaml
echo '{"clean": "Hat is in the Box", "corrupted": "Key is in the Box", "answer": " A B", "foil": " B"}' >pairs.jsonl
expect 2 "not one token: pairs.jsonl:1 (answer)" "$patchbay" run pairs.yaml
echo '{"clean": "Hat is in the Box", "corrupted": "Key is in the Box", "answer": " A", "foil": " A"}' >pairs.jsonl
expect 2 "answer equal to foil: pairs.jsonl:1" "$patchbay" run pairs.yaml
words=$(printf ' the%.0s' $(seq 5000))
echo "{\"clean\": \"A$words\", \"corrupted\": \"B$words\", \"answer\": \" A\", \"foil\": \" B\"}" >pairs.jsonl
expect 2 "prompt beyond the context: pairs.jsonl:1 (clean)" "$patchbay" run pairs.yaml
echo '{"clean": [1, 2], "corrupted": [1, 99999999], "answer": 1, "foil": 2}' >pairs.jsonl
expect 2 "token id out of range: pairs.jsonl:1 (corrupted)" "$patchbay" run pairs.yaml
echo '{"clean": ' >pairs.jsonl
expect 2 "not valid JSON: pairs.jsonl:1" "$patchbay" run pairs.yaml
: >pairs.jsonl
expect 2 "no pairs: pairs.jsonl" "$patchbay" run pairs.yaml
rm -f pairs.jsonl pairs.yaml

# ---- outputs -----------------------------------------------------------------------------------
expect 2 "nowhere" "$patchbay" run -o nowhere/out.h5 run.yaml
expect 2 "nowhere" "$patchbay" prompts box --pairs 1 --boxes 3 --moves 1 -o nowhere/pairs.jsonl
mkdir folder.h5
expect 2 "folder.h5" "$patchbay" run -o folder.h5 run.yaml
rmdir folder.h5
expect 2 "/dev/null" "$patchbay" run -o /dev/null run.yaml
if [ "$(id -u)" = 0 ]; then
	# Root may write into any folder but not make files in this one.
	expect 2 "/proc/out.h5" "$patchbay" run -o /proc/out.h5 run.yaml
else
	mkdir -m 555 sealed
	expect 2 "sealed" "$patchbay" run -o sealed/out.h5 run.yaml
	rmdir sealed
fi
echo "not a result" >out.h5
expect 2 "out.h5" "$patchbay" run run.yaml
rm -f out.h5

# Another experiment is refused without --force; the same one is left alone.
succeed "$patchbay" run -q run.yaml
succeed "$patchbay" verify out.h5
expect 2 "out.h5" "$patchbay" run --set task.seed=1 run.yaml
before=$(sha256sum <out.h5)
succeed "$patchbay" run -q run.yaml
n_checks=$((n_checks + 1))
if [ "$before" != "$(sha256sum <out.h5)" ]; then
	fail "the same run again" "the complete output was written again"
fi
succeed "$patchbay" run -q --force --set task.seed=1 run.yaml
n_checks=$((n_checks + 1))
if [ "$before" = "$(sha256sum <out.h5)" ]; then
	fail "run --force" "the output was not replaced"
fi
succeed "$patchbay" verify out.h5

# The strongest cells, in three forms.
succeed "$patchbay" top out.h5
succeed "$patchbay" top --sweep 0_patch_z_denoise_last -n 3 --right out.h5
succeed "$patchbay" top --sweep patch_z_denoise_last -n 1 out.h5
expect 2 "no such sweep: out.h5: 'nothing': it has 0_patch_z_denoise_last" \
	"$patchbay" top --sweep nothing out.h5
expect 2 "no such sweep: out.h5: '1'" "$patchbay" top --sweep 1 out.h5
expect 2 "--count '0'" "$patchbay" top -n 0 out.h5
n_checks=$((n_checks + 3))
"$patchbay" top -n 3 out.h5 | tail -n +3 | awk '{print $2}' >text
"$patchbay" top -n 3 --csv out.h5 | tail -n +2 | cut -d, -f4 | tr -d '"' >csv
"$patchbay" top -n 3 --json out.h5 | sed -n 's/^ *"label": "\(.*\)",$/\1/p' >json
[ "$(wc -l <text)" = 3 ] || fail "top -n 3" "not three cells:" "$(cat text)"
cmp -s text csv || fail "top --csv" "other cells than the table's:" "$(cat csv)"
cmp -s text json || fail "top --json" "other cells than the table's:" "$(cat json)"
rm -f text csv json

# Half a result is wrong, and not one to continue or to replace.
truncate -s $(($(stat -c %s out.h5) / 2)) out.h5
expect 1 "out.h5" "$patchbay" verify out.h5
expect 1 "out.h5" "$patchbay" top out.h5
expect 2 "out.h5" "$patchbay" run run.yaml
rm -f out.h5

# ---- output that cannot be written -------------------------------------------------------------
expect 1 "standard output" sh -c "exec '$patchbay' --help >/dev/full"
expect 1 "standard output" sh -c "exec '$patchbay' --help >&-"
expect 1 "standard output" sh -c "exec '$patchbay' prompts box --pairs 2000 --boxes 5 --moves 5 >/dev/full"
expect 1 "standard output" bash -c "set -o pipefail; '$patchbay' prompts box --pairs 5000 --boxes 5 --moves 5 | head -c 1"
expect 1 "pairs.jsonl" sh -c "ulimit -f 1; exec '$patchbay' prompts box --pairs 2000 --boxes 5 --moves 5 -o pairs.jsonl"

totals
