#!/bin/sh
# What checkpoints cost: of whole runs, the seconds that writing parts and putting the file together
# take (fsyncs included; parts are written beside the computation of the next chunk, so that this is
# more than what a run waits for), with chunks as the planner makes them and with one pair a chunk.
#   bench/checkpoint.sh [FOLDER]
# FOLDER holds the results meanwhile (default: build/bench/checkpoint; its disk is what is measured).
# GPT-2 small's shape is measured too where bench/run_peers.sh or make_gpt2_shape.py has made it.
# PATCHBAY: the binary; THREADS: default 2.
set -eu
cd "$(dirname "$0")/.."
patchbay=$PWD/${PATCHBAY:-build/release/patchbay}
[ -x "${PATCHBAY:-}" ] && patchbay=$PATCHBAY
threads=${THREADS:-2}
folder=${1:-build/bench/checkpoint}
shape=$PWD/build/bench/gpt2_shape
mkdir -p "$folder"

if [ ! -x "$patchbay" ]; then
	echo "checkpoint.sh: no $patchbay: run make build first" >&2
	exit 2
fi

# measure NAME CHUNK: $folder/run.yaml with that chunk.
measure() {
	rm -rf "$folder/run.h5" "$folder/run.h5.parts"
	"$patchbay" run "$folder/run.yaml" -o "$folder/run.h5" --set "engine.chunk=$2" --threads "$threads" \
		--profile >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
	awk -v name="$1" -v chunk="$2" '
		$1 == "write" { write = $2 }
		$1 == "run" { run = $2 }
		END {
			if (run == 0) { print "no profile in the output" > "/dev/stderr"; exit 1 }
			printf "%-44s chunk %-5s %8.2f s, of which writing %6.3f s: %5.2f%%\n", name, chunk, run, write, 100 * write / run
		}' "$folder/log"
}

cat >"$folder/run.yaml" <<E2
model: {path: $PWD/data/boxbench}
task: {name: box, boxes: 5, moves: 4, pairs: 100}
sweep:
  - {site: z, positions: each}
  - {site: mlp_out, positions: each}
metrics: [logit_diff, prob, kl, rank]
E2
for chunk in auto 1; do measure "boxbench, z and mlp_out each, 100 pairs" $chunk; done
if [ -f "$shape/config.json" ]; then
	cat >"$folder/run.yaml" <<E2
model: {path: $shape}
pairs: $shape/pairs.jsonl
sweep: {site: z}
E2
	for chunk in auto 1; do measure "GPT-2 small's shape, z all, 8 pairs" $chunk; done
fi
rm -rf "$folder"
