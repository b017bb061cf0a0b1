#!/bin/bash
# The goldens with the cuda backend on the emulated device, and the bundled model's sweep beside the
# cpu backend's.
#   tests/golden/run_emu.sh
# PATCHBAY: the program; PB_EMU_DIR: the folder of the program with the emulated device; PYTHON.
# Under a sanitizer, where fibers are slow, one model stands for all.
cd "$(dirname "$0")/../.." || exit 1
emu=${PB_EMU_DIR:-build/emu}/patchbay
cpu=${PATCHBAY:-build/release/patchbay}
python=${PYTHON:-python3}
temp=$(mktemp -d) || exit 1
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
models=() graphs=gpt2
case ${BUILD:-} in *asan*) models=(gpt_neox_parallel) graphs= ;; esac
passed=0 failed=0

# told LABEL STATUS LOG
told() {
	if [ "$2" -eq 0 ]; then
		passed=$((passed + 1))
	else
		echo "$1: FAILED:"
		sed 's/^/  /' "$3"
		failed=$((failed + 1))
	fi
}
# counts LOG: adds the last line of a script
counts() {
	local last
	last=$(tail -n 1 "$1")
	if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
		passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
	else
		failed=$((failed + 1))
	fi
	grep -v ' passed, ' "$1"
}

GRAPHS=$graphs PATCHBAY=$emu tests/golden/run_sweeps.sh "${models[@]}" >"$temp/sweeps" 2>&1 &
sweeps=$!
PATCHBAY=$emu tests/golden/run_engine.sh "${models[@]}" >"$temp/engine" 2>&1
if [ ${#models[@]} -eq 0 ]; then
	cat >"$temp/run.yaml" <<-END
		model: {path: data/boxbench}
		task: {name: box, boxes: 3, moves: 2, pairs: 4}
		sweep:
		  - {intervention: patch, site: z, direction: denoise, positions: all}
		  - {intervention: patch, site: z, direction: noise, positions: all}
		readings: none
	END
	backend() { # OUTPUT PROGRAM BACKEND PRECISION [OPTION...]
		"$2" run "$temp/run.yaml" -o "$temp/$1.h5" --backend "$3" --set engine.precision="$4" \
			--threads 1 -q "${@:5}" >"$temp/log" 2>&1 &&
			"$cpu" verify "$temp/$1.h5" >>"$temp/log" 2>&1
		told "bundled model, $1" $? "$temp/log"
	}
	backend cpu "$cpu" cpu fp32
	backend fp32 "$emu" cuda fp32
	backend again "$emu" cuda fp32 --set engine.graphs=on
	backend tf32 "$emu" cuda tf32
	backend bf16 "$emu" cuda bf16
	for of in "fp32 1e-5" "again 1e-5" "tf32 1e-3" "bf16 1e-2"; do
		set -- $of
		"$python" tests/golden/compare_backends.py "$temp/$1.h5" "$temp/cpu.h5" "$2" \
			>"$temp/log" 2>&1
		told "bundled model, $1 beside cpu" $? "$temp/log"
		[ "$1" = again ] || echo "bundled model, $1: $(tail -n 1 "$temp/log")"
	done
	"$python" tests/golden/compare_backends.py "$temp/again.h5" "$temp/fp32.h5" 0 >"$temp/log" 2>&1
	told "bundled model, the same bits again, in graphs" $? "$temp/log"
	for of in tf32 bf16; do
		backend $of-graphs "$emu" cuda $of --set engine.graphs=on
		"$python" tests/golden/compare_bits.py "$temp/$of-graphs.h5" "$temp/$of.h5" >"$temp/log" 2>&1
		told "bundled model, $of in graphs, the same bits" $? "$temp/log"
	done
	graphs_say() { # LABEL PATTERN OPTION...
		"$emu" run tests/golden/sweeps/gpt_neo/equal.yaml -o "$temp/say.h5" --force --threads 1 \
			--set engine.graphs=on "${@:3}" >"$temp/log" 2>&1 && grep -q "$2" "$temp/log"
		told "$1" $? "$temp/log"
	}
	graphs_say "graphs are counted" 'graphs: [1-9][0-9]* launched' --backend cuda
	graphs_say "a run without graphs is complete for one with them" 'already complete' \
		--backend cuda --set engine.graphs=off
	rm -f "$temp/say.h5"
	graphs_say "no graphs under --profile" 'warning: engine.graphs: on: no graphs are made under' \
		--backend cuda --profile
	rm -f "$temp/say.h5"
	graphs_say "no graphs on the cpu" 'warning: engine.graphs: on: the cpu backend has no graphs' \
		--backend cpu
	# Device memory: what is planned is enough, in the same bits; too little is said beforehand; and
	# where there is less than was promised, waves shrink.
	# Graphs are in that plan.
	PB_EMU_MEMORY=$((100 << 20)) backend small "$emu" cuda fp32 --set engine.graphs=on
	! grep -q 'going on with waves of' "$temp/log"
	told "what is planned is enough, graphs too" $? "$temp/log"
	PB_EMU_MEMORY=$((100 << 20)) "$emu" run "$temp/run.yaml" --backend cuda --dry-run \
		--set engine.graphs=on >"$temp/log" 2>&1 && grep -q '^graphs  *[1-9][0-9]* MiB' "$temp/log"
	told "the plan says what graphs may take" $? "$temp/log"
	PB_EMU_MEMORY=$((80 << 20)) "$emu" run "$temp/run.yaml" -o "$temp/shrunk.h5" --backend cuda \
		--device-memory 4G --threads 1 -q >"$temp/log" 2>&1 &&
		grep -q 'going on with waves of' "$temp/log"
	told "waves shrink where memory lacks" $? "$temp/log"
	for of in small shrunk; do
		"$python" tests/golden/compare_backends.py "$temp/$of.h5" "$temp/fp32.h5" 0 >"$temp/log" 2>&1
		told "bundled model, the bits of $of memory" $? "$temp/log"
	done
	PB_EMU_MEMORY=$((70 << 20)) "$emu" run "$temp/run.yaml" -o "$temp/none.h5" --backend cuda -q \
		>"$temp/log" 2>&1
	[ $? -eq 2 ] && grep -q 'not enough memory on the GPU' "$temp/log" && [ ! -e "$temp/none.h5" ]
	told "too little GPU memory is refused" $? "$temp/log"
	"$emu" doctor >"$temp/log" 2>&1 && grep -q '^backend cuda  emulated device' "$temp/log"
	told "doctor names the emulated device" $? "$temp/log"
fi
wait "$sweeps"
counts "$temp/engine"
counts "$temp/sweeps"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
