"""Run the peer and Patchbay on the same model, pairs and threads, compare the effects and print a
table. Called by run_peers.sh, which prepares the environment and the model.

    peer_table.py FOLDER --patchbay BIN [--threads N] [--positions all,last,each] [--repeat N]
                  [--sample N] [--reuse]

The peer's time is its cached run and its patching loop, without importing and loading. Patchbay's
is the whole process, from start to finished file, the median of --repeat runs. A patch is one cell
of one pair. --reuse takes the peer's figures from its last run with as many threads.
Exit 1 where the effects differ by more than 1e-4 of the largest.
"""
import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

TOLERANCE = 1e-4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patchbay", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--positions", default="all")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--sample", type=int, default=24)
    parser.add_argument("--reuse", action="store_true")
    return parser.parse_args()


def run_peer(options, positions):
    out = options.folder / f"peer_{positions}_{options.threads}.npz"
    if not (options.reuse and out.exists()):
        script = Path(__file__).parent / "peer_transformerlens.py"
        print(f"running TransformerLens, positions {positions} ...", flush=True)
        done = subprocess.run([sys.executable, script, options.folder, out,
                               "--positions", positions, "--threads", str(options.threads),
                               "--sample", str(options.sample)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        if done.returncode != 0:
            sys.exit(f"the peer failed:\n{done.stderr}")
        print(done.stdout.strip(), flush=True)
    with np.load(out) as peer:
        return dict(peer)


def run_patchbay(options, positions):
    """(median seconds, LD [pair, layer, head(, position)], baseline [pair])."""
    out, seconds = options.folder / f"patchbay_{positions}.h5", []
    for repeat in range(options.repeat):
        out.unlink(missing_ok=True)
        begin = time.perf_counter()
        done = subprocess.run([options.patchbay, "run", options.folder / f"{positions}.yaml", "-o",
                               out, "--threads", str(options.threads), "--profile"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        seconds.append(time.perf_counter() - begin)
        if done.returncode != 0:
            sys.exit(f"patchbay failed:\n{done.stdout}")
        if repeat == options.repeat - 1:
            print(f"patchbay, positions {positions}, the last of {options.repeat} runs "
                  f"({', '.join(f'{s:.2f} s' for s in seconds)}):\n{done.stdout.strip()}",
                  flush=True)
    with h5py.File(out, "r") as file:
        values = file[f"sweeps/0_patch_z_denoise_{positions}/logit_diff"][()]
        return statistics.median(seconds), values, file["base/corrupted/logit_diff"][()]


def largest_deviation(peer, values, base):
    """Deviation of the peer's effects from ours, in units of the sweep's largest effect."""
    effects = values - base.reshape(-1, *[1] * (values.ndim - 1))
    # last has no position axis: the peer's cells carry it all the same
    cells = peer["cells"][:, :values.ndim - 1]
    ours = np.stack([effects[(slice(None), *cell)] for cell in cells])
    theirs = peer["logit_diff"] - peer["corrupted"]
    # written so that a NaN on either side comes out as NaN, which no tolerance accepts
    return np.abs(ours - theirs).max() / np.nanmax(np.abs(effects))


def main():
    options = arguments()
    rows, ok = [], True
    for positions in options.positions.split(","):
        peer = run_peer(options, positions)
        seconds, values, base = run_patchbay(options, positions)
        deviation = largest_deviation(peer, values, base)
        agrees = bool(deviation <= TOLERANCE)
        ok = ok and agrees
        total = int(peer["cells_total"])
        n_pairs = len(base)
        sampled = "" if len(peer["cells"]) == total else f" (from {len(peer['cells'])} cells)"
        peer_seconds = float(peer["seconds_total"])
        rows.append((positions, f"{total} x {n_pairs}", f"{peer_seconds:.1f}{sampled}",
                     f"{total * n_pairs / peer_seconds:.1f}", f"{seconds:.2f}",
                     f"{total * n_pairs / seconds:.1f}", f"{peer_seconds / seconds:.1f}",
                     f"{deviation:.1e}{'' if agrees else ' TOO FAR'}"))
    head = ("positions", "cells x pairs", "TransformerLens s", "patches/s", "Patchbay s",
            "patches/s", "ratio", "effects differ")
    print(f"\n{options.threads} threads, float32, denoise; effects differ: by this much of the "
          f"largest (allowed {TOLERANCE:g})\n")
    for row in (head, ("---",) * len(head), *rows):
        print("| " + " | ".join(row) + " |")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
