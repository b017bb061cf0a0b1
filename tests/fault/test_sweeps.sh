#!/usr/bin/env bash
# Sweeps that cannot be: each case must give one clear message that names the key and says what to do,
# status 2, and leave nothing behind.
#
#   bash tests/fault/test_sweeps.sh          PATCHBAY names the binary (build/release/patchbay)
set -u

# shellcheck source=tests/fault/expect.sh
. "$(dirname "$0")/expect.sh"

parallel=$root/tests/golden/engine/gpt_neox_parallel
box="task: {name: box, boxes: 3, moves: 1, pairs: 3}"
own="pairs: pairs.jsonl"

# refuse TEXT SWEEP [PROMPTS [MODEL]]: a run of this sweep is refused with TEXT.
refuse() {
	cat >run.yaml <<-YAML
		model: {path: ${4:-$model}}
		${3:-$box}
		sweep: $2
		readings: none
		output: out.h5
	YAML
	expect 2 "$1" "$patchbay" run run.yaml
	rm -rf out.h5.parts # each is to blame for what it leaves
}

# tensor FILE NAME SHAPE N: a safetensors file with one tensor of N float32 ones.
tensor() {
	local header length
	header="{\"$2\":{\"dtype\":\"F32\",\"shape\":[$3],\"data_offsets\":[0,$((4 * $4))]}}"
	length=$(printf '%016x' ${#header})
	{
		for ((i = 14; i >= 0; i -= 2)); do printf '%b' "\\x${length:i:2}"; done
		printf '%s' "$header"
		for ((i = 0; i < $4; i++)); do printf '\0\0\200\077'; done
	} >"$1"
}

cat >pairs.jsonl <<EOP
{"clean": [1, 2, 3, 4], "corrupted": [1, 5, 3, 4], "answer": 1, "foil": 2, "roles": ["a", null, "b", "b"]}
{"clean": [1, 2, 3, 4, 6], "corrupted": [1, 5, 3, 4, 6], "answer": 1, "foil": 2, "roles": [null, "c", null, null, "b"]}
EOP
echo '{"prompt": [1, 2, 3]}' >three.jsonl
printf '{"prompt": [1, 2, 3]}\n{"prompt": [1, 2]}\n' >unequal.jsonl
echo '{"prompt": [1, 2, 3], "roles": ["x", "y", null]}' >roles.jsonl

# The files are well-formed: what is refused below is refused for its shape.
tensor vector vector 160 160
n_checks=$((n_checks + 1))
cat >run.yaml <<YAML
model: {path: $model}
$own
sweep: [{intervention: add, site: mlp_out, positions: last, vector: vector}, {site: z}, {site: mlp_out}]
readings: none
YAML
"$patchbay" run -q -o heads.h5 run.yaml >"$work.out" 2>"$work.err" ||
	fail "well-formed files" "$(head -c 600 "$work.err")"

# ---- parts of the model ------------------------------------------------------------------------
refuse "sweep.0.layers: 5: this model has 0 to 4" "{site: z, layers: [0, 5]}"
refuse "sweep.0.heads: 8: this model has 0 to 7" "{site: z, heads: [8]}"
refuse "sweep.0.heads: 8: this model has 0 to 7" "{site: k, heads: [8]}"
refuse "(sweep.heads): this site has no heads" "{site: mlp_out, heads: [0]}"
refuse "sweep.0.neurons: 640: this model has 0 to 639" "{site: mlp_post, layers: [0], neurons: [640]}"
refuse "(sweep.neurons): neurons are swept in one layer" "{site: mlp_post, neurons: all}"
refuse "sweep.0.site: resid_mid: its blocks are parallel" "{site: resid_mid}" "$own" "$parallel"
refuse "(sweep.window): a window has a layer in its middle: give an odd number" "{site: z, window: 2}"

# ---- positions ---------------------------------------------------------------------------------
refuse "no pair has the role 'nobody': sweep.0.positions: use a name" "{site: z, positions: [nobody]}"
echo '{"clean": [1, 2], "corrupted": [3, 2], "answer": 1, "foil": 2}' >plain.jsonl
refuse "sweep.0.positions: give the pairs \"roles\"" "{site: z, positions: [a]}" "pairs: plain.jsonl"
refuse "sweep.0.positions: no pair has all of these roles" "{site: z, positions: [a, c]}" "$own"
refuse "sweep.0.positions: no pair is long enough" "{site: z, positions: [1, 100]}"
refuse "sweep.0.positions: no pair is long enough" "{site: z, positions: [-6]}" "$own"
refuse "(sweep.positions): give positions, for instance [3, -1]" "{site: z, positions: []}"
refuse "(sweep.positions): only pattern has keys" "{site: z, positions: each_key}"

# ---- files of vectors --------------------------------------------------------------------------
tensor short vector 159 159
tensor layers vector 3,160 480
tensor other direction 160 160
tensor ones subspace 2,160 320
tensor wide subspace 1,161 161
refuse "short, tensor vector: [159]: for this site of this model give [160], [5, 160]" \
	"{intervention: add, site: mlp_out, vector: short}"
refuse "layers, tensor vector: [3, 160]: for this site" "{intervention: add, site: mlp_out, vector: layers}"
refuse "vector, tensor vector: [160]: for this site of this model give [20]" \
	"{intervention: add, site: z, vector: vector}"
refuse "no tensor 'vector': other: it has direction" "{intervention: add, site: mlp_out, vector: other}"
refuse "cannot open file: absent" "{intervention: add, site: mlp_out, vector: absent}"
refuse "(sweep.vector): give it" "{intervention: add, site: mlp_out}"
refuse "wide, tensor subspace: [1, 161]" "{intervention: project, site: mlp_out, subspace: wide}"
refuse "dependent rows: ones, tensor subspace: row 1" "{intervention: project, site: mlp_out, subspace: ones}"

# ---- means, resampling -------------------------------------------------------------------------
refuse "sweep.reference: by: position: prompt 1 has 5 tokens, prompt 0 has 4: use by: role or overall" \
	"{intervention: mean, site: z, reference: {by: position}}" "$own"
refuse "sweep.reference: by: position: prompt 1 has 2 tokens, prompt 0 has 3" \
	"{intervention: mean, site: z, reference: {over: unequal.jsonl, by: position}}"
refuse "sweep.reference: by: position: pair 0 has 4 tokens, the reference 3" \
	"{intervention: mean, site: z, reference: {over: three.jsonl, by: position}}" "$own"
refuse "sweep.reference: by: role: give their lines \"roles\"" \
	"{intervention: mean, site: z, reference: {over: three.jsonl, by: role}}" "$own"
refuse "(sweep.reference): the keys of a pattern are positions" \
	"{intervention: mean, site: pattern, reference: {by: overall}}"
refuse "cannot open file: absent" "{intervention: mean, site: z, reference: {over: absent.jsonl}}"
refuse "sweep.0.intervention: no two pairs have as many tokens" "{intervention: resample, site: z}" "$own"

# ---- sets --------------------------------------------------------------------------------------
refuse "sweep.0.sets, set 'a', L9H0: this model has 5 layers of 8 heads" "{sets: {a: [L0H1, L9H0]}}"
refuse "sweep.0.sets, set 'a', L0H8: this model has" "{sets: {a: [L0H8]}}"
refuse "sweep.0.sets, set 'a', M5: this model has" "{sets: {a: [M5]}}"
refuse "not a label: 'X3'" "{sets: {a: [X3]}}"
refuse "(sweep.0.sets.top): its cells are not heads" "{sets: {top: {file: heads.h5, sweep: 2, k: 2}}}"
refuse "no such sweep: heads.h5: 'nothing'" "{sets: {top: {file: heads.h5, sweep: nothing, k: 2}}}"
refuse "(sweep.0.sets.top): it ranks 40 heads: give a k of at most that" \
	"{sets: {top: {file: heads.h5, sweep: 1, k: 41}}}"
refuse "cannot open file: absent.h5" "{sets: {top: {file: absent.h5, k: 2}}}"
refuse "not a result file: pairs.jsonl" "{sets: {top: {file: pairs.jsonl, k: 2}}}"
refuse "sweep.0.sets.random: 39 heads are outside the named sets, and 40 are wanted: give a smaller" \
	"{sets: {a: [L0H0], random: {size: 40, count: 1}}}"
refuse "(sweep.complement): it is the complement of a set" "{site: z, complement: true}"

# ---- paths -------------------------------------------------------------------------------------
refuse "sweep.0.receiver: L9H0.q: this model has 5 layers of 8 heads" \
	"{intervention: path, sender: head, receiver: [L1H0.q, L9H0.q]}"
refuse "sweep.0.receiver: L0H8.k: this model has" "{intervention: path, sender: mlp, receiver: [L0H8.k]}"
refuse "sweep.0.receiver: M9: this model has" "{intervention: path, sender: mlp, receiver: [M9]}"
refuse "sweep.0.receiver_heads: 8: this model has 0 to 7" \
	"{intervention: path, sender: head, receiver: q, receiver_heads: [8]}"
refuse "sweep.0.receiver: none of them comes later than a sender" \
	"{intervention: path, sender: head, receiver: q, layers: [2, 3], receiver_layers: [0, 1, 2]}"
refuse "sweep.0.receiver: none of them comes later than a sender" \
	"{intervention: path, sender: mlp, receiver: [L0H0.q, M0]}"
refuse "sweep.0.receiver: none of them comes later than a sender" \
	"{intervention: path, sender: head, receiver: mlp, layers: [1], receiver_layers: [1]}" "$own" \
	"$parallel"
refuse "(sweep.positions): paths are not swept by position" \
	"{intervention: path, sender: head, receiver: q, positions: each}"

# ---- found only while the run is made ready ----------------------------------------------------
echo '{"prompt": [0]}' >bos.jsonl
refuse "sweep.reference: every prompt is BOS alone" \
	"{intervention: mean, site: z, reference: {over: bos.jsonl}}" "$own" "$model, bos: true"
refuse "sweep.0.reference: it has none of the roles of the pairs" \
	"{intervention: mean, site: z, positions: last, reference: {over: roles.jsonl, by: role}}" "$own"

# ---- a result that is there stays until all input has been read, whatever is forced --------------
cat >run.yaml <<YAML
model: {path: $model}
$own
sweep: {intervention: add, site: mlp_out, vector: short}
readings: none
YAML
expect 2 "short, tensor vector: [159]" "$patchbay" run -q --force -o heads.h5 run.yaml

totals
