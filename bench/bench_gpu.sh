#!/bin/bash
# All that is measured on a GPU: the sweep at GPT-2's shapes, the same beside TransformerLens where this
# Python has it and PyTorch (PYTHON), and what Nsight Compute says of each kernel where it is there.
# Without a GPU it says why, and ends with status 0.
#   bench/bench_gpu.sh
# BUILD: the folder of the build. XL's weights for TransformerLens, 6.2 GB, are made in build/bench.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build/release}
python=${PYTHON:-python3}
export PB_PLUGIN_DIR=$PWD/$build

first=$("$build/bench/bench_gpu" tiny | head -n 1)
case $first in
*skipped:*)
	echo "$first"
	exit 0
	;;
esac
"$build/bench/bench_gpu" --stages
"$python" bench/peer_gpu.py build/bench --patchbay "$PWD/$build/patchbay"
if command -v ncu >/dev/null; then
	mkdir -p build/bench
	ncu --clock-control none --cache-control none --csv --log-file build/bench/ncu.csv \
		--metrics gpu__time_duration.sum,dram__bytes_read.sum,dram__bytes_write.sum \
		--launch-skip 1700 --launch-count 700 "$build/bench/bench_gpu" small/bf16 >/dev/null
	echo "kernels of 700 launches in the middle of a sweep (small, bf16):"
	"$python" bench/kernel_table.py build/bench/ncu.csv
else
	echo "Nsight Compute (ncu) is not in PATH: no table of kernels"
fi
