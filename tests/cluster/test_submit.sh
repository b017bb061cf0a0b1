#!/usr/bin/env bash
# `patchbay submit` without SLURM: what it writes, that bash and shellcheck take it, that the scripts
# ask for what fits the plan, that sbatch gets what it should, and that the shipped scripts do with a run
# what the written ones do. Then the script's own handling of signals, with a stand-in for the program.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
root=$PWD
patchbay=${PATCHBAY:-$root/build/release/patchbay}
passed=0 failed=0 skipped=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OMP_WAIT_POLICY=passive
unset "${!SLURM_@}"

check() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >said 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $name: $*"
		tail -n 20 said
	fi
}
has() { grep -qxF -- "$2" "$1" || { cat "$1" && return 1; }; }
fails() { # STATUS TEXT COMMAND...
	local status=$1 text=$2
	shift 2
	"$@" >out 2>err
	[ $? = "$status" ] && grep -qF -- "$text" err || { cat out err && return 1; }
}

cat >run.yaml <<END
model: {path: $root/data/boxbench}
task: {name: box, boxes: 3, moves: 1, pairs: 12, corrupt: state, seed: 5}
sweep: {intervention: patch, site: z, positions: last}
readings: none
engine: {chunk: 2}
output: plain.h5
END

# ---- what is written -----------------------------------------------------------------------------
folder="a folder's \"own\" \$HOME 5%"
mkdir "$folder"
cp run.yaml "$folder/the run.yaml"
odd() {
	"$patchbay" submit "$folder/the run.yaml" -o "$folder/out it.h5" --backend cpu --array 3 --at-once 2 \
		--cpus-per-task 2 --partition short --account lab --setup 'module() { :; }' --sbatch=--qos=low \
		--stage '$SLURM_TMPDIR' --set 'task.seed=6'
}
check "paths with blanks, quotes and dollars" odd
script="$folder/out it.sbatch"
for line in '#SBATCH --array=0-2%2' '#SBATCH --cpus-per-task=2' '#SBATCH --partition="short"' \
	'#SBATCH --account="lab"' '#SBATCH --qos=low' 'module() { :; }' '#SBATCH --requeue' '#SBATCH --signal=B:USR1@90'; do
	check "the script has $line" has "$script" "$line"
done
check "% in a log's name is doubled" grep -qF '\"own\" $HOME 5%%/out it.h5".%A_%a.log' "$script"
check "the merge is of three" grep -qF 'out it.shard-2-of-3.h5' "$script.merge"
# What the script would run, word by word.
words() {
	local run=()
	eval "$(grep '^run=(' "$script" | sed "s|^run=(|SLURM_TMPDIR='/scratch of/job'; run=(|")"
	printf '%s\n' "${run[@]:1}"
}
words >words
printf '%s\n' run "$PWD/$folder/the run.yaml" --output "$PWD/$folder/out it.h5" --shard slurm/3 --stage \
	"/scratch of/job" --set task.seed=6 --set engine.backend=cpu >wanted
check "every word arrives as it is" diff words wanted

"$patchbay" submit run.yaml --backend cpu --array 100 >/dev/null 2>told
check "there are no more tasks than chunks" grep -qF "6 chunks: 6 tasks instead of 100" told
check "one is no array" "$patchbay" submit run.yaml --backend cpu -o one.h5
check "and has no shards" bash -c '! grep -q shard one.sbatch one.sbatch.merge'
check "several processes go through srun" "$patchbay" submit run.yaml -o ranks.h5 --processes 4 --nodes 2 \
	--gpus-per-task 1 --device h100
check "with their GPUs" has ranks.sbatch '#SBATCH --gpus-per-task=1'
check "and MPI" grep -q '^run=(srun --mpi=pmix ' ranks.sbatch
check "an evaluation" "$patchbay" submit run.yaml -o eval.h5 --eval --backend cpu --name it
check "has its verb" grep -q "patchbay eval " eval.sbatch

# ---- that it fits --------------------------------------------------------------------------------
memory() { # MiB that the plan foresees, MiB that the script asks for
	local foreseen asked
	foreseen=$("$patchbay" run run.yaml --backend cpu --dry-run | sed -n 's/^memory *\([0-9]*\) MiB.*/\1/p')
	asked=$(sed -n 's/^#SBATCH --mem=\([0-9]*\)M$/\1/p' one.sbatch)
	[ $((foreseen * 5 / 4 + 500)) -le "$asked" ] && [ "$asked" -le $((foreseen * 5 / 4 + 600)) ]
}
check "memory is the plan's and a quarter" memory
check "the time is ten minutes at least" grep -qE '^#SBATCH --time="0:1[01]:00"$' one.sbatch
check "a given time stays" "$patchbay" submit run.yaml --backend cpu -o timed.h5 --time 1-00:30:00
check "as it is" has timed.sbatch '#SBATCH --time="1-00:30:00"'

# ---- what is refused -----------------------------------------------------------------------------
check "GPUs without a time" fails 2 "the time on a GPU is not known" "$patchbay" submit run.yaml --gpus-per-task 1
check "a bad time" fails 2 "bad value: --time 'soon'" "$patchbay" submit run.yaml --backend cpu --time soon
check "a line's end" fails 2 "a line ends in an option" "$patchbay" submit run.yaml --backend cpu --account $'a\nb'
check "an option of sbatch without dashes" fails 2 "not an option of sbatch" "$patchbay" submit run.yaml --sbatch qos
echo "my own" >mine.sbatch
check "another file" fails 2 "another file is there: mine.sbatch" "$patchbay" submit run.yaml --backend cpu -o mine.h5
check "stays" has mine.sbatch "my own"
check "--force replaces it" "$patchbay" submit run.yaml --backend cpu -o mine.h5 --force
check "no sbatch here" fails 2 "no such program in PATH: sbatch" env PATH=/nowhere "$patchbay" submit run.yaml \
	--backend cpu --go

# ---- what sbatch gets ----------------------------------------------------------------------------
mkdir bin
cat >bin/sbatch <<'END'
#!/bin/sh
printf '%s|' "$@" >>calls
echo >>calls
[ ! -e refuse ] || { echo "sbatch: error: no such account" >&2; exit 1; }
echo "1$(wc -l <calls);cluster"
END
chmod +x bin/sbatch
export PATH="$PWD/bin:$PATH"
check "--go" "$patchbay" submit run.yaml --backend cpu --array 2 --go
printf '%s\n' '--parsable|plain.sbatch|' \
	'--parsable|--dependency=afterok:11|--kill-on-invalid-dep=yes|plain.sbatch.merge|' >wanted
check "first the array, then the merge" diff calls wanted
touch refuse
check "what sbatch says is shown" fails 1 "sbatch refuses the script: plain.sbatch: sbatch: error: no such account" \
	"$patchbay" submit run.yaml --backend cpu --go
rm bin/sbatch

# ---- the scripts themselves ----------------------------------------------------------------------
shopt -s nullglob
scripts=("$root"/configs/slurm/*.sbatch ./*.sbatch ./*.merge "$script" "$script.merge")
check "there are scripts" test ${#scripts[@]} -gt 12
for file in "${scripts[@]}"; do
	check "bash takes ${file##*/}" bash -n "$file"
	if command -v shellcheck >/dev/null; then
		check "shellcheck takes ${file##*/}" shellcheck -S warning -s bash "$file"
	else
		skipped=$((skipped + 1))
	fi
done
# From the first common line on the shipped ones are as the written ones.
body() { sed -n '/^echo "start /,$p' "$1"; }
body one.sbatch >wanted
check "a script has a body" test "$(wc -l <wanted)" -gt 30
for name in gpu array node nodes; do
	body "$root/configs/slurm/$name.sbatch" >found
	check "$name.sbatch does the same with a run" diff found wanted
done

# ---- signals in a script -------------------------------------------------------------------------
# The program: it says that it began, and ends with 75 at USR1, after a while; or as it is told.
cat >bin/patchbay <<'END'
#!/bin/bash
trap 'sleep 0.3; exit 75' USR1
touch began
[ -z "${DIE:-}" ] || kill -s KILL $$
for _ in $(seq 100); do sleep 0.1; done
exit 3
END
cat >bin/scontrol <<'END'
#!/bin/sh
echo "$*" >>requeued
exit 1
END
chmod +x bin/patchbay bin/scontrol
# signalled SIGNAL: the exit status of a script that gets it
signalled() {
	local pid
	rm -f began requeued
	CONFIG=c OUTPUT=o PATCHBAY=patchbay SLURM_JOB_ID=7 bash "$root/configs/slurm/gpu.sbatch" >said 2>&1 &
	pid=$!
	for _ in $(seq 100); do [ -e began ] || sleep 0.05; done
	[ -z "$1" ] || kill -s "$1" $pid
	wait $pid
}
signalled USR1
check "USR1: the program's own status" test $? = 75
check "and it is queued again" has requeued "requeue 7"
signalled TERM
check "TERM: the program's own status" test $? = 75
check "and it is not queued again" test ! -e requeued
DIE=1 signalled ''
check "killed: the status tells it" test $? = 137
check "and it is queued again" has requeued "requeue 7"
DIE=1 SLURM_RESTART_COUNT=3 signalled ''
check "but not for ever" test ! -e requeued
MAX_RESTARTS=5 SLURM_RESTART_COUNT=5 signalled USR1
check "nor is a stopped one" test ! -e requeued

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
