"""Run the peer and Patchbay on the same model, pairs and threads, compare the effects and print a
table. Called by run_peers.sh, which prepares the environment and the model.

    peer_table.py FOLDER --patchbay BIN [--threads N] [--positions all,last,each] [--repeat N]
                  [--sample N] [--reuse] [--paths q,k,v [--path-heads 5 | all]]

The peer's time is its cached run and its patching loop, without importing and loading. Patchbay's
is the whole process, from start to finished file, the median of --repeat runs. A patch is one cell
of one pair. --reuse takes the peer's figures from its last run with as many threads.
--paths makes a second table, of path sweeps (freeze: all) from the heads of one index in all layers
(--path-heads all: from all heads, hours for the peer's sum and many minutes for Patchbay) to these
inputs of every later head; --positions none leaves the first one out.
Exit 1 where the effects differ by more than 1e-4 of the largest (paths: from the peer in float64).
"""
import argparse
import resource
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
    parser.add_argument("--paths", default="", help="q, k, v: receivers of path sweeps")
    parser.add_argument("--path-heads", default="5", help="index of the senders, or all")
    parser.add_argument("--path-sample", type=int, default=12, help="paths timed of the peer")
    return parser.parse_args()


def run_peer(options, what, script, *more):
    """The arrays that one of the peer's scripts leaves."""
    out = options.folder / f"peer_{what}_{options.threads}.npz"
    if not (options.reuse and out.exists()):
        print(f"running TransformerLens, {what} ...", flush=True)
        done = subprocess.run([sys.executable, Path(__file__).parent / script, options.folder, out,
                               "--threads", str(options.threads), *more],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        if done.returncode != 0:
            sys.exit(f"the peer failed:\n{done.stderr}")
        print(done.stdout.strip(), flush=True)
    with np.load(out) as peer:
        return dict(peer)


def run_patchbay(options, config, sweep):
    """(median seconds, median processor seconds, LD [pair, ...], baseline [pair])."""
    out, seconds, cpu = options.folder / f"patchbay_{config.stem}.h5", [], []
    for repeat in range(options.repeat):
        out.unlink(missing_ok=True)
        begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([options.patchbay, "run", config, "-o", out, "--threads",
                               str(options.threads), "--profile"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        seconds.append(time.perf_counter() - begin)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if done.returncode != 0:
            sys.exit(f"patchbay failed:\n{done.stdout}")
        if repeat == options.repeat - 1:
            print(f"patchbay, {config.stem}, the last of {options.repeat} runs "
                  f"({', '.join(f'{s:.2f} s' for s in seconds)}):\n{done.stdout.strip()}",
                  flush=True)
    with h5py.File(out, "r") as file:
        values = file[f"sweeps/{sweep}/logit_diff"][()]
        return (statistics.median(seconds), statistics.median(cpu), values,
                file["base/corrupted/logit_diff"][()])


def largest_deviation(peer, values, base):
    """Deviation of the peer's effects from ours, in units of the sweep's largest effect."""
    effects = values - base.reshape(-1, *[1] * (values.ndim - 1))
    # last has no position axis: the peer's cells carry it all the same
    cells = peer["cells"][:, :values.ndim - 1]
    ours = np.stack([effects[(slice(None), *cell)] for cell in cells])
    theirs = peer["logit_diff"] - peer["corrupted"]
    # written so that a NaN on either side comes out as NaN, which no tolerance accepts
    return np.abs(ours - theirs).max() / np.nanmax(np.abs(effects))


def print_table(rows):
    for row in rows[:1] + [("---",) * len(rows[0])] + rows[1:]:
        print("| " + " | ".join(row) + " |")


def shown(deviation):
    return f"{deviation:.1e}{'' if deviation <= TOLERANCE else ' TOO FAR'}"


def patch_table(options):
    """Rows of z patches, and whether all effects agree."""
    rows, ok = [("positions", "cells x pairs", "TransformerLens s", "patches/s", "Patchbay s",
                 "patches/s", "ratio", "effects differ")], True
    for positions in options.positions.split(","):
        peer = run_peer(options, positions, "peer_transformerlens.py", "--positions", positions,
                        "--sample", str(options.sample))
        seconds, _, values, base = run_patchbay(options, options.folder / f"{positions}.yaml",
                                                f"0_patch_z_denoise_{positions}")
        deviation = largest_deviation(peer, values, base)
        ok = ok and bool(deviation <= TOLERANCE)
        total = int(peer["cells_total"])
        n_pairs = len(base)
        sampled = "" if len(peer["cells"]) == total else f" (from {len(peer['cells'])} cells)"
        peer_seconds = float(peer["seconds_total"])
        rows.append((positions, f"{total} x {n_pairs}", f"{peer_seconds:.1f}{sampled}",
                     f"{total * n_pairs / peer_seconds:.1f}", f"{seconds:.2f}",
                     f"{total * n_pairs / seconds:.1f}", f"{peer_seconds / seconds:.1f}",
                     shown(deviation)))
    return rows, ok


def path_config(options, receiver):
    heads = "" if options.path_heads == "all" else f", heads: [{options.path_heads}]"
    config = options.folder / f"paths_{receiver}.yaml"
    config.write_text(
        f"model: {{path: {options.folder}, bos: auto}}\npairs: {options.folder}/pairs.jsonl\n"
        f"sweep:\n  - {{intervention: path, sender: head, receiver: {receiver}{heads}}}\n"
        "metrics: [logit_diff]\nreadings: none\n"
        "engine: {backend: cpu, precision: fp32, chunk: auto}\n")
    return config


def path_table(options):
    """The same for paths; deviations are from the peer's float64 run."""
    rows, ok = [("receiver", "paths x pairs", "TransformerLens s", "processor s", "Patchbay s",
                 "processor s", "paths/s", "ratio", "ratio of processor s",
                 "effects differ from float64", "TransformerLens's")], True
    for receiver in options.paths.split(","):
        heads = options.path_heads
        peer = run_peer(options, f"paths_{receiver}_{heads}", "peer_paths.py", "--component",
                        receiver, "--heads", heads, "--sample", str(options.path_sample))
        seconds, cpu, values, base = run_patchbay(options, path_config(options, receiver),
                                                  f"0_path_head_to_{receiver}_denoise_freeze_all")
        effects = values - base.reshape(-1, 1, 1, 1, 1)
        cells = peer["cells"].copy()
        if heads != "all":
            cells[:, 1] = 0  # the axis of senders has this one head
        ours = np.stack([effects[(slice(None), *cell)] for cell in cells])
        exact = peer["logit_diff64"] - peer["corrupted64"]
        largest = np.nanmax(np.abs(effects))
        deviation = np.abs(ours - exact).max() / largest
        theirs = np.abs(peer["logit_diff"] - peer["corrupted"] - exact).max() / largest
        ok = ok and bool(deviation <= TOLERANCE)
        total, n_pairs = int(peer["cells_total"]), len(base)
        wall, processor = float(peer["seconds_total"]), float(peer["cpu_total"])
        rows.append((receiver, f"{total} x {n_pairs}", f"{wall:.0f} (from {len(cells)} paths)",
                     f"{processor:.0f}", f"{seconds:.1f}", f"{cpu:.1f}",
                     f"{total * n_pairs / seconds:.1f}", f"{wall / seconds:.1f}",
                     f"{processor / cpu:.1f}", shown(deviation), f"{theirs:.1e}"))
    return rows, ok


def main():
    options = arguments()
    tables = []
    if options.positions != "none":
        tables.append(("z patches", *patch_table(options)))
    if options.paths:
        tables.append((f"paths from heads of index {options.path_heads}, freeze: all",
                       *path_table(options)))
    for title, rows, _ in tables:
        print(f"\n{title}: {options.threads} threads, float32, denoise; effects differ: by this "
              f"much of the largest (allowed {TOLERANCE:g})\n")
        print_table(rows)
    sys.exit(0 if all(ok for _, _, ok in tables) else 1)


if __name__ == "__main__":
    main()
