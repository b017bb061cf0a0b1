"""Patchbay's cuda backend beside TransformerLens on the same GPU: z patches of every head at all
positions, denoise, on the shapes of make_gpt2_shape.py, 8 pairs of 48 tokens.

    peer_gpu.py FOLDER --patchbay BIN [--shapes small,xl] [--precisions fp32,tf32,bf16]
                [--repeat N] [--xl-sample N]

The peer's time is its cached run and its patching loop in float32 (PyTorch's default: no tf32),
after a first pass, without importing and loading; at XL's shape it comes from a random sample of
heads at the full batch, since each costs one same forward pass. Patchbay's is `seconds_computing`
of the result file, that is base runs, waves, scores and the run's own checks, and beside it the
whole process from start to finished file, medians of --repeat runs. Effects are compared with the
peer's. Without PyTorch, TransformerLens or a GPU it says so, and ends with status 0.
Exit 1 where effects differ by more than 1e-4 (fp32), 1e-2 (tf32) or 2e-2 (bf16) of the largest.
"""
import argparse
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ALLOWED = {"fp32": 1e-4, "tf32": 1e-2, "bf16": 2e-2}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="where models are made")
    parser.add_argument("--patchbay", required=True)
    parser.add_argument("--shapes", default="small,xl")
    parser.add_argument("--precisions", default="fp32,tf32,bf16")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--xl-sample", type=int, default=100, help="heads of XL that the peer runs")
    return parser.parse_args()


def reason_to_skip():
    missing = [name for name in ("torch", "transformer_lens", "h5py") if not find_spec(name)]
    if missing:
        return f"this Python lacks {', '.join(missing)}"
    import torch  # pylint: disable=import-outside-toplevel
    return None if torch.cuda.is_available() else "PyTorch finds no GPU"


def run_patchbay(options, folder, precision):
    """(median seconds of the process, of computing, LD [pair, layer, head], baseline [pair])."""
    import h5py  # pylint: disable=import-outside-toplevel
    out, whole, computing = folder / f"patchbay_{precision}.h5", [], []
    for _ in range(options.repeat):
        out.unlink(missing_ok=True)
        begin = time.perf_counter()
        done = subprocess.run([options.patchbay, "run", folder / "all.yaml", "-o", out, "-q",
                               "--backend", "cuda", "--set", f"engine.precision={precision}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        whole.append(time.perf_counter() - begin)
        if done.returncode != 0:
            sys.exit(f"patchbay failed:\n{done.stdout}")
        with h5py.File(out, "r") as file:
            computing.append(float(file.attrs["seconds_computing"]))
            values = file["sweeps/0_patch_z_denoise_all/logit_diff"][()]
            base = file["base/corrupted/logit_diff"][()]
    return statistics.median(whole), statistics.median(computing), values, base


def main():
    options = arguments()
    reason = reason_to_skip()
    if reason:
        print(f"beside TransformerLens: skipped: {reason}")
        return 0
    import numpy as np  # pylint: disable=import-outside-toplevel
    # pylint: disable-next=import-outside-toplevel
    from peer_table import largest_deviation, print_table
    rows, ok = [("shape", "precision", "cells x pairs", "TransformerLens s", "patches/s",
                 "Patchbay s", "patches/s", "ratio", "whole process s", "effects differ")], True
    for shape in options.shapes.split(","):
        folder = options.folder / f"gpt2_{shape}"
        subprocess.run([sys.executable, HERE / "make_gpt2_shape.py", folder, shape], check=True)
        sample = options.xl_sample if shape == "xl" else 0
        subprocess.run([sys.executable, HERE / "peer_transformerlens.py", folder,
                        folder / "peer.npz", "--device", "cuda", "--all-sample", str(sample)],
                       check=True)
        with np.load(folder / "peer.npz") as arrays:
            peer = dict(arrays)
        total, seconds = int(peer["cells_total"]), float(peer["seconds_total"])
        sampled = f" (from {len(peer['cells'])} heads)" if sample else ""
        for precision in options.precisions.split(","):
            whole, computing, values, base = run_patchbay(options, folder, precision)
            deviation = largest_deviation(peer, values, base)
            ok = ok and bool(deviation <= ALLOWED[precision])
            patches = total * len(base)
            rows.append((shape, precision, f"{total} x {len(base)}", f"{seconds:.1f}{sampled}",
                         f"{patches / seconds:.0f}", f"{computing:.3f}",
                         f"{patches / computing:.0f}", f"{seconds / computing:.0f}",
                         f"{whole:.1f}", f"{deviation:.1e}"))
    print()
    print_table(rows)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
