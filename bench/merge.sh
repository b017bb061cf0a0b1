#!/usr/bin/env bash
# Merging many chunks: time and peak memory, on shards of made-up values (bench/make_shards.c), beside a
# copy of the shards that is on the disk when it ends.
#
#   bench/merge.sh [CHUNKS [SHARDS [LAYERS HEADS [PAIRS]]]]     # 1000 10 48 25 100: 100,000 pairs, 1 GB
#
# From the environment: BUILD (build/release), PYTHON, MERGE_DIR (a folder with room for three times
# the data; a temporary one, which is removed, by default). Shards that are there are used again.
set -euo pipefail
cd "$(dirname "$0")/.."
chunks=${1:-1000} shards=${2:-10} layers=${3:-48} heads=${4:-25} pairs=${5:-100}
BUILD=${BUILD:-build/release}
folder=${MERGE_DIR:-}
if [ -z "$folder" ]; then
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
fi
name=$folder/m-$chunks-$shards-$layers-$heads-$pairs
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

# measure LABEL COMMAND...: its wall and processor time, and the most memory that it had
measure() {
	"${PYTHON:-python3}" - "$@" <<-'PY'
	import resource, subprocess, sys, time
	start = time.time()
	subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL)
	used = resource.getrusage(resource.RUSAGE_CHILDREN)
	print(f"{sys.argv[1]:8} {time.time() - start:7.1f} s  {used.ru_utime + used.ru_stime:7.1f} s of "
	      f"processors  {used.ru_maxrss / 1024:6.0f} MiB at most", flush=True)
	PY
}

echo "$chunks chunks of $pairs pairs, $layers x $heads heads, $shards shards"
if [ ! -e "$name.shard-0-of-$shards.h5" ]; then
	measure make "$BUILD/bench/make_shards" "$name.h5" "$chunks" "$shards" "$layers" "$heads" "$pairs"
fi
echo "shards   $(du -cm "$name".shard-*.h5 | tail -n 1 | cut -f 1) MB"
rm -f "$name.h5"
# shellcheck disable=SC2016 # the inner shell expands
measure copy sh -c 'out=$1; shift; cat "$@" >"$out"; sync "$out"; rm "$out"' copy "$name.copy" "$name".shard-*.h5
measure merge "$BUILD/patchbay" merge -q "$name.h5" "$name".shard-*.h5
echo "result   $(du -m "$name.h5" | cut -f 1) MB"
measure verify "$BUILD/patchbay" verify "$name.h5"
