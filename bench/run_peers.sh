#!/bin/sh
# Patchbay beside TransformerLens: the same random GPT-2-small-shaped model, pairs and threads.
#   bench/run_peers.sh [options of peer_table.py]     e.g. --positions all,last,each --repeat 5
#                                                     or --positions none --paths q,k,v
# Makes build/peers (a virtual environment of about 6 GB) and build/bench/gpt2_shape when missing.
# PATCHBAY: the binary; THREADS: default 2; PEERS: the environment.
set -eu
cd "$(dirname "$0")/.."
patchbay=${PATCHBAY:-build/release/patchbay}
threads=${THREADS:-2}
peers=${PEERS:-build/peers}
folder=build/bench/gpt2_shape

if [ ! -x "$patchbay" ]; then
	echo "run_peers.sh: no $patchbay: run make build first" >&2
	exit 2
fi
has='from importlib.util import find_spec as f; import sys
sys.exit(not all(f(m) for m in ("torch", "transformer_lens", "h5py", "safetensors")))'
if ! "$peers/bin/python" -c "$has" 2>/dev/null; then
	echo "making $peers (PyTorch, transformers, TransformerLens) ..."
	python3 -m venv "$peers"
	"$peers/bin/pip" install --quiet torch
	"$peers/bin/pip" install --quiet 'transformer-lens==4.3.0' transformers safetensors \
		tokenizers h5py numpy xarray netCDF4
fi
"$peers/bin/python" bench/make_gpt2_shape.py "$folder"
exec "$peers/bin/python" bench/peer_table.py "$folder" --patchbay "$patchbay" \
	--threads "$threads" "$@"
