#!/usr/bin/env bash
# Runs fuzz targets, FUZZ_SECONDS (60) each, from their seeds and from what earlier runs found
# (build/fuzz/corpus). An input that breaks a target is kept in build/fuzz/found, and status is 1.
#
#   tests/fuzz/run.sh build/fuzz/fuzz_gguf ...
set -uo pipefail
cd "$(dirname "$0")/../.."
seconds=${FUZZ_SECONDS:-60}
failed=0
mkdir -p build/fuzz/found
for binary; do
	target=${binary##*/fuzz_}
	mkdir -p "build/fuzz/corpus/$target"
	log=build/fuzz/$target.log
	"$binary" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -verbosity=1 \
		-print_final_stats=1 -artifact_prefix="build/fuzz/found/$target-" \
		"build/fuzz/corpus/$target" "tests/fuzz/seeds/$target" >"$log" 2>&1
	status=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ $status -eq 0 ]; then
		echo "$target: ${runs:-0} inputs in $seconds s, nothing found"
	else
		echo "$target: broken after ${runs:-?} inputs, see $log and build/fuzz/found" >&2
		failed=1
	fi
done
exit $failed
