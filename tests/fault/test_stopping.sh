#!/usr/bin/env bash
# Runs that stop before their end: by signals, a stop file, a time limit, the grace's end; weights that
# shrink under a run; weights staged on another disk. Whatever happened, the same command leaves the
# datasets of a run that nobody stopped.
#
#   bash tests/fault/test_stopping.sh     PATCHBAY names the binary (build/release/patchbay)
set -u

# shellcheck source=tests/fault/expect.sh
. "$(dirname "$0")/expect.sh"
export OMP_WAIT_POLICY=passive
case $patchbay in */asan/*) # times and memory are those of a build without sanitizers
	echo "skipped: a build without sanitizers is needed"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
	;;
esac
unset "${!SLURM_@}"

cat >run.yaml <<EOF_CONFIG
model: {path: $model}
task: {name: box, boxes: 3, moves: 1, pairs: 16, corrupt: state, seed: 5}
sweep: {intervention: patch, site: z, direction: denoise, positions: each, layers: [1, 2]}
readings: none
engine: {chunk: 1, backend: cpu}
EOF_CONFIG
# One chunk of several waves: nothing but its end, or giving it up, is a stop.
one_chunk=(--set engine.chunk=16 --memory 136M)

n_parts() { find "$1.parts" -name 'chunk-?????.h5' 2>/dev/null | wc -l; }

# is_true NAME COMMAND...
is_true() {
	local name=$1
	shift
	n_checks=$((n_checks + 1))
	"$@" || fail "$name" "$(head -c 800 told 2>/dev/null)"
}

# at_part OUTPUT COMMAND...: run it, and do what $action says when there is a part.
at_part() {
	local output=$1 pid
	shift
	"$@" >said 2>told &
	pid=$!
	for _ in $(seq 600); do
		[ "$(n_parts "$output")" -ge 1 ] && break
		kill -0 $pid 2>/dev/null || break
		sleep 0.05
	done
	$action $pid
	wait $pid
	status=$?
}

same() { # OUTPUT [REFERENCE]
	succeed "$patchbay" verify --against "${2:-reference.h5}" "$1"
}

"$patchbay" run run.yaml -o reference.h5 -q || exit 1

# ---- signals -------------------------------------------------------------------------------------
for name in USR1 TERM INT; do
	action="kill -s $name"
	at_part $name.h5 "$patchbay" run run.yaml -o $name.h5 -q
	is_true "SIG$name: status 75" test $status = 75
	is_true "SIG$name is named" grep -q "stopped after [0-9]* of 16 chunks, by SIG$name: $name.h5" told
	is_true "SIG$name leaves parts" test "$(n_parts $name.h5)" -ge 1
	succeed "$patchbay" run run.yaml -o $name.h5 -q
	same $name.h5
done
twice() {
	kill -s INT "$1"
	sleep 0.1
	kill -s INT "$1"
}
action=twice
at_part twice.h5 "$patchbay" run run.yaml -o twice.h5 -q --set engine.chunk=8
is_true "a second SIGINT ends it as signals do" test $status = 130
succeed "$patchbay" run run.yaml -o twice.h5 -q --set engine.chunk=8

# ---- the grace -----------------------------------------------------------------------------------
# The only chunk has seconds of waves before it when the signal comes, and the grace is two: it is
# given up at the next wave.
begun=$(date +%s%N)
timeout -s USR1 1 "$patchbay" run run.yaml -o long.h5 -q --set task.pairs=200 --set engine.chunk=200 --grace 2 2>told
took=$((($(date +%s%N) - begun) / 1000000))
is_true "a chunk that will not be done is dropped (${took} ms)" grep -q "stopped after 0 of 1 chunks, by SIGUSR1" told
is_true "within the grace" test $took -lt 4500
# one that will be done, or of which nothing is known: in any case the same bytes in the end
timeout -s USR1 0.4 "$patchbay" run run.yaml -o grace.h5 -q "${one_chunk[@]}" --grace 15 2>told
status=$? # 124: timeout sent the signal
is_true "a chunk that may be done in time" test $status = 124 -o $status = 0
succeed "$patchbay" run run.yaml -o grace.h5 -q "${one_chunk[@]}"
"$patchbay" run run.yaml -o reference_one.h5 -q "${one_chunk[@]}" || exit 1
same grace.h5 reference_one.h5

# A process that does not come to a wave at all: it is stopped, and the grace ends it.
stall() {
	kill -s STOP "$1"
	kill -s USR1 "$1"
	sleep 2.5
	kill -s CONT "$1"
}
action=stall
at_part stall.h5 "$patchbay" run run.yaml -o stall.h5 -q --grace 1
is_true "the end of the grace is the end" test $status = 75
succeed "$patchbay" run run.yaml -o stall.h5 -q
same stall.h5

# ---- the stop file -------------------------------------------------------------------------------
# It is looked for once a second: a run of several.
several=(--set task.pairs=80)
stop_file() { touch file.h5.stop; }
action=stop_file
at_part file.h5 "$patchbay" run run.yaml -o file.h5 -q "${several[@]}"
is_true "a stop file: status 75" test $status = 75
is_true "it is named" grep -q "by the stop file, which is to be removed" told
expect 2 "a stop file is there: file.h5.stop: remove it to run" "$patchbay" run run.yaml -o file.h5 -q "${several[@]}"
rm file.h5.stop
succeed "$patchbay" run run.yaml -o file.h5 -q "${several[@]}"
"$patchbay" run run.yaml -o reference_several.h5 -q "${several[@]}" || exit 1
same file.h5 reference_several.h5
touch whole.h5.stop
expect 2 "a stop file is there: whole.h5.stop" "$patchbay" run run.yaml -o whole.h5 --shard 0/2 -q
rm whole.h5.stop

# ---- time limits ---------------------------------------------------------------------------------
for text in 0 1: :1 1:60 1:1:1:1 1-2 x 1h; do
	expect 2 "bad value: --time-limit '$text'" "$patchbay" run run.yaml -o x.h5 --time-limit $text
done
expect 2 "not in a SLURM job: --time-limit auto" "$patchbay" run run.yaml -o x.h5 --time-limit auto
# Enough for some chunks. Each try does some, until all are done: none is begun in vain.
tries=0
status=75
while [ $status = 75 ] && [ $tries -lt 40 ]; do
	"$patchbay" run run.yaml -o limit.h5 -q --time-limit 0:05 2>told
	status=$?
	tries=$((tries + 1))
	[ $status = 75 ] && cp told told.75
done
is_true "a time limit, again and again, comes to an end ($tries tries)" test $status = 0
same limit.h5
"$patchbay" run run.yaml -o short.h5 -q --time-limit 2 --set task.pairs=200 --set engine.chunk=200 2>told
status=$?
is_true "a chunk that no start would finish is an error" test $status = 2
is_true "and says so" grep -q "the time limit is too short for a chunk" told

# In a job: SLURM_JOB_END_TIME where it is set, squeue else.
mkdir bin
cat >bin/squeue <<'END'
#!/bin/sh
echo "$*" >asked
[ "$SLURM_TIME_FORMAT" = %s ] || exit 1
cat answer
END
chmod +x bin/squeue
in_job() { env PATH="$PWD/bin:$PATH" SLURM_JOB_ID=7 "$@"; }
now=$(date +%s)
echo "$((now - 10)) $((now - 100))" >answer
in_job "$patchbay" run run.yaml -o job.h5 -q 2>told
is_true "no time left in the job: 75" test $? = 75
is_true "squeue is asked of this job" grep -qx -- "-h -j 7 -o %e %S" asked
for answer in "NONE $now" "$((now + 3600)) $now"; do
	echo "$answer" >answer
	rm -rf job.h5*
	succeed in_job "$patchbay" run run.yaml -o job.h5 -q
done
same job.h5
echo "slurm_load_jobs error: Invalid job id" >answer
expect 2 "squeue does not say when the job ends: job 7" in_job "$patchbay" run run.yaml -o x.h5 --time-limit auto
in_job "$patchbay" run run.yaml -o job.h5 2>told >said
is_true "by itself it only warns" grep -q "warning: squeue does not say.*going on without a time limit" told
rm asked
succeed env SLURM_JOB_END_TIME=$((now + 3600)) PATH="$PWD/bin:$PATH" SLURM_JOB_ID=7 "$patchbay" run run.yaml -o job.h5 -q
is_true "a newer SLURM is not asked" test ! -e asked
succeed in_job "$patchbay" run run.yaml -o job.h5 -q --time-limit none

# ---- weights that shrink -------------------------------------------------------------------------
cp -r "$model" weak
shrink() { truncate -s 4096 weak/model.safetensors; }
action=shrink
at_part weak.h5 "$patchbay" run run.yaml -o weak.h5 -q --set model.path=weak --memory 75M
size=$(stat -c %s "$model/model.safetensors")
if [ $status = 0 ]; then # all of it was packed and nothing was read again
	is_true "shrunken weights that nobody reads do no harm" test -e weak.h5
else
	is_true "weights that shrink: status 1" test $status = 1
	is_true "the file is named" grep -q "patchbay: a file changed while it was in use: weak/model.safetensors: it had $size bytes and now has 4096" told
fi
rm -rf weak
cp -r "$model" weak
succeed "$patchbay" run run.yaml -o weak.h5 -q --set model.path=weak
same weak.h5

# ---- staging -------------------------------------------------------------------------------------
mkdir disk
"$patchbay" run run.yaml -o staged.h5 --stage disk 2>told >said
is_true "a run of staged weights" test $? = 0
is_true "it says so" grep -q "weights copied to disk in" told
same staged.h5
is_true "nothing stays on the disk" test -z "$(ls -A disk)"
expect 2 "cannot copy weights: $model/model.safetensors to nowhere: No such file" \
	"$patchbay" run run.yaml -o x.h5 -q --stage nowhere
# the copy is what is read: the original may shrink
cp -r "$model" weak2
shrink_original() { truncate -s 4096 weak2/model.safetensors; }
action=shrink_original
at_part weak2.h5 "$patchbay" run run.yaml -o weak2.h5 -q --set model.path=weak2 --memory 75M --stage disk
is_true "a staged run does not need the original" test $status = 0
same weak2.h5

totals
