#!/usr/bin/env bash
# The shipped scripts on a real SLURM of this machine: a job array whose tasks are signalled, queued
# again and killed in the middle, its dependent merge, several processes under srun, and `patchbay
# submit --go`. Every result is compared with the file of one uninterrupted process, to the bit.
#
# Skipped, and counted, where SLURM or root is missing, and in a sanitizer build.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
root=$PWD
export PATCHBAY=${PATCHBAY:-$root/build/release/patchbay}
# shellcheck source=tests/support/slurm_here.sh
. tests/support/slurm_here.sh
passed=0 failed=0

lacks=$(slurm_lacks | tr '\n' ' ')
case $PATCHBAY in */asan/*) lacks="a build without sanitizers (MPI's libraries leak) $lacks" ;; esac
if [ -n "$lacks" ]; then
	echo "skipped: it needs ${lacks% }"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi

work=$(mktemp -d) || exit 1
trap 'slurm_stop; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

check() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >"$work/said" 2>&1; then
		passed=$((passed + 1))
		echo "ok: $name ($SECONDS s)"
	else
		failed=$((failed + 1))
		echo "FAILED: $name ($SECONDS s)"
		tail -n 20 "$work/said"
	fi
}

# until_true SECONDS COMMAND...
until_true() {
	local until=$((SECONDS + $1))
	shift
	while ! "$@"; do
		[ $SECONDS -lt $until ] || return 1
		sleep 0.2
	done
}

n_parts() { find "$1.parts" -name 'chunk-?????.h5' 2>/dev/null | wc -l; }
has_parts() { [ "$(n_parts "$1")" -ge "$2" ]; }
state() { scontrol show job -o "$1" 2>/dev/null | grep -o 'JobState=[A-Z]*' | tail -n 1; }
is() { [ "$(state "$1")" = "JobState=$2" ]; }
# A job that was queued again is held for two minutes, in which its first start is cleared away: two
# seconds are enough here, and none are not.
release() {
	is "$1" PENDING || return 0
	sleep 2
	scontrol update JobId="$1" StartTime=now 2>/dev/null
}
ends_well() {
	local until=$((SECONDS + 150))
	while ! is "$1" COMPLETED; do
		case $(state "$1") in
		JobState=FAILED | JobState=CANCELLED | JobState=TIMEOUT) break ;;
		esac
		[ $SECONDS -lt $until ] || break
		release "$1"
		sleep 0.3
	done
	is "$1" COMPLETED && return
	scontrol show job -o "$1" | tr " " "\n" | grep -E "^(JobState|Reason|Dependency|ExitCode|Restarts|Requeue|StartTime|EndTime)"
	grep -E "JobId=(${1%_*}_|${1%_*}\b|.*Requeu|.*_job_complete)" "$slurm/slurmctld.log" | grep -v update_job
	return 1
}
same() { "$PATCHBAY" verify --against "$1" "$2"; }
# The number of the log's task that began so many times.
began() { grep -c "^start $2 of task" "$1"; }

write_config() { # FILE PAIRS
	cat >"$1" <<-END
		model: {path: $root/data/boxbench}
		task: {name: box, boxes: 3, moves: 1, pairs: $2, corrupt: state, seed: 5}
		sweep: {intervention: patch, site: z, direction: denoise, positions: each, layers: [1, 2]}
		readings: none
		engine: {chunk: 2}
	END
}

cd "$work" || exit 1
export BACKEND=cpu OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
here=(--mem=1000 --cpus-per-task=1 --time=10)

write_config long.yaml 72
write_config short.yaml 6
"$PATCHBAY" run long.yaml -o reference.h5 -q && "$PATCHBAY" run short.yaml -o short.h5 -q || exit 1
echo "references: $SECONDS s"
slurm_start || { echo "0 passed, 1 failed"; exit 1; }
echo "SLURM: $SECONDS s"

# ---- the array, interrupted in three ways ------------------------------------------------------
array() {
	local job i
	job=$(CONFIG=long.yaml OUTPUT=out.h5 sbatch --parsable "${here[@]}" --array=0-2%3 \
		"$root/configs/slurm/array.sbatch") || return 1
	echo "$job" >array.job
	OUTPUT=out.h5 SHARDS=3 sbatch --parsable --mem=1000 --dependency="afterok:$job" \
		--kill-on-invalid-dep=yes "$root/configs/slurm/merge.sbatch" >merge.job || return 1
	for i in 0 1 2; do
		until_true 60 has_parts out.shard-$i-of-3.h5 2 || { echo "task $i has no parts"; return 1; }
	done
	# the signal that --signal sends before the end of the time
	scancel --batch --signal=USR1 "${job}_0" || return 1
	# the program of one task dies
	kill -KILL "$(task_program "$job" 1)" || return 1
	scontrol requeue "${job}_2" || return 1
	for i in 0 1 2; do
		until_true 60 is "${job}_$i" PENDING || { echo "task $i is not queued again: $(state "${job}_$i")"; return 1; }
		[ ! -e out.shard-$i-of-3.h5 ] || { echo "task $i was done too early"; return 1; }
	done
}
# The program of a task: by its environment.
task_program() {
	local pid
	for pid in $(pidof patchbay); do
		tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx "SLURM_ARRAY_JOB_ID=$1" &&
			tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "SLURM_ARRAY_TASK_ID=$2" && echo "$pid" && return
	done
	return 1
}
check "an array whose tasks are signalled, killed and queued again" array
job=$(cat array.job 2>/dev/null || echo 0)
merge=$(cat merge.job 2>/dev/null || echo 0)
for i in 0 1 2; do
	check "task $i ends well" ends_well "${job}_$i"
	check "task $i began twice" test "$(began "patchbay.${job}_$i.log" 2)" = 1
done
check "the dependent merge" ends_well "$merge"
check "the merged file is that of one process" same reference.h5 out.h5
check "the merge job ranks" grep -q L1H "patchbay-merge.$merge.log"
check "and reports" test -s out-report/index.html

# ---- several processes of one run --------------------------------------------------------------
job=$(CONFIG=short.yaml OUTPUT=node.h5 sbatch --parsable "${here[@]}" --ntasks=2 "$root/configs/slurm/node.sbatch")
check "two processes under srun --mpi=pmix" ends_well "$job"
check "their file is that of one process" same short.h5 node.h5
check "both have computed" grep -qE 'each of 2 processes: [1-9]+ [1-9]+' "patchbay.$job.log"

# ---- submit ------------------------------------------------------------------------------------
mkdir "a folder"
submit() {
	"$PATCHBAY" submit short.yaml -o "a folder/50% of it.h5" --backend cpu --array 8 --cpus-per-task 1 --go
}
check "submit --go" submit
cat "$work/said"
first=$(sed -n 's/^job \([0-9]*\): 3 tasks$/\1/p' "$work/said")
last=$(sed -n 's/^job \([0-9]*\): when it is done.*/\1/p' "$work/said")
check "there are no more tasks than chunks" test -n "$first"
check "the job after it" ends_well "${last:-0}"
check "its file is that of one process" same short.h5 "a folder/50% of it.h5"
check "its logs are beside it" test -e "a folder/50% of it.h5.${first}_0.log"

# ---- what sbatch refuses -----------------------------------------------------------------------
refused() {
	"$PATCHBAY" submit short.yaml -o other.h5 --backend cpu --partition nowhere --go 2>told
	[ $? = 1 ] && grep -q 'sbatch refuses the script: other.sbatch: .*nvalid partition' told
}
check "what sbatch says is shown" refused

# ---- the time that is left ---------------------------------------------------------------------
timed() {
	local job
	job=$(CONFIG=long.yaml OUTPUT=timed.h5 sbatch --parsable --mem=1000 --cpus-per-task=1 --time=1 \
		--gpus-per-task=0 --signal=B:USR1@1 --wrap 'true' 2>&1) || { echo "$job"; return 1; }
	ends_well "$job" || return 1
	srun --mem=1000 --time=1 "$PATCHBAY" doctor >doctor.txt || return 1
	cat doctor.txt
	grep -qE '^SLURM time +a run stops within [345][0-9] s \(of 55\)' doctor.txt
}
check "doctor tells the time that a job has left" timed

[ "$failed" = 0 ] || { slurm_logs; tail -n 30 ./*.log; }
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
