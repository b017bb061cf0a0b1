"""The peer of path sweeps: TransformerLens's direct path patching, timed.

    peer_paths.py FOLDER OUT.npz [--component q|k|v] [--heads 5 | all] [--threads N] [--sample N]

What get_act_patch_direct_path_all_sources does: for each source head the change that it writes
(clean minus corrupted z @ W_O) is made once, and one forward pass of the whole batch of pairs is
run for each later destination head, with the change added to that head's own q, k or v input alone.
Here the same hook of the same library runs for a random sample of (source, destination) pairs, at
the full batch, without gradients; the sources are the heads of that index (or all) in all layers.
The time is that of the two runs with cache, and the sample's time scaled to all paths; loading and
one warming pass are apart. A path's effect is small beside the logits, so that the sample is run
again in float64, untimed, to compare with. OUT.npz: cells [n, 4] (sender layer, head, receiver
layer, head); logit_diff, logit_diff64 [n, pair], corrupted, corrupted64 [pair]; cells_total,
seconds_total, cpu_total (processor seconds of all threads).
"""
import argparse
import json
import os
import time
from importlib import metadata
from pathlib import Path


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--component", choices=("q", "k", "v"), default="q")
    parser.add_argument("--heads", default="5", help="index of the source heads, or all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sample", type=int, default=12, help="paths timed")
    return parser.parse_args()


OPTIONS = arguments()
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = str(OPTIONS.threads)

import numpy as np  # noqa: E402  (the environment must be set before these are imported)
import torch  # noqa: E402
from peer_model import load  # noqa: E402
from transformer_lens import patching  # noqa: E402


def all_paths(n_layers, n_heads, heads):
    senders = range(n_heads) if heads == "all" else [int(heads)]
    return [(layer, head, later, other) for layer in range(n_layers) for head in senders
            for later in range(layer + 1, n_layers) for other in range(n_heads)]


def base_runs(model, clean, corrupted):
    """(caches of z, clean and corrupted; corrupted logits)."""
    caches = []
    for tokens in (clean, corrupted):
        logits, cache = model.run_with_cache(tokens, names_filter=lambda n: n.endswith("hook_z"))
        caches.append(cache)
    return caches, logits


def run_path(model, corrupted, caches, path, component):
    """One forward with the path's change, as in get_act_patch_direct_path; logits."""
    layer, head, later, other = path
    weight = model.blocks[layer].attn.W_O[head]
    clean_z, corrupted_z = (c[f"blocks.{layer}.attn.hook_z"][:, :, head] for c in caches)
    fired = []
    # the library's own hook: without it the deviation could come from a copy gone stale
    hook = patching._make_direct_path_hook(  # pylint: disable=protected-access
        clean_z @ weight - corrupted_z @ weight, other, fired)
    logits = model.run_with_hooks(
        corrupted, fwd_hooks=[(f"blocks.{later}.attn.hook_{component}_input", hook)])
    if not fired:
        raise RuntimeError("the hook did not fire")
    return logits


class Clock:
    """Wall and processor seconds since it was made."""

    def __init__(self):
        self.begin = np.array([time.perf_counter(), time.process_time()])

    def read(self):
        return np.array([time.perf_counter(), time.process_time()]) - self.begin


def run(dtype, sides, targets, choose):
    """One precision: (paths, values [n, pair], corrupted [pair], seconds of the base runs, of each
    path [n, 2]). choose: from all paths to those that are run."""
    clean, corrupted = sides
    answer, foil = targets
    rows = torch.arange(len(answer))

    def logit_diff(logits):
        return (logits[rows, -1, answer] - logits[rows, -1, foil]).double().numpy()

    model = load(OPTIONS.folder, dtype)
    paths = all_paths(model.cfg.n_layers, model.cfg.n_heads, OPTIONS.heads)
    clock = Clock()
    caches, logits = base_runs(model, clean, corrupted)
    base_seconds = clock.read()
    values, seconds = [], []
    sample = choose(paths)
    with patching._split_qkv_input(model):  # pylint: disable=protected-access
        run_path(model, corrupted, caches, sample[0], OPTIONS.component)
        for path in sample:
            clock = Clock()
            values.append(logit_diff(run_path(model, corrupted, caches, path, OPTIONS.component)))
            seconds.append(clock.read())
    return paths, np.stack(values), logit_diff(logits), base_seconds, np.stack(seconds)


def main():
    torch.set_num_threads(OPTIONS.threads)
    torch.set_grad_enabled(False)
    pairs = [json.loads(line) for line in (OPTIONS.folder / "pairs.jsonl").read_text().splitlines()]
    sides, targets = ([torch.tensor([p[key] for p in pairs]) for key in keys]
                      for keys in (("clean", "corrupted"), ("answer", "foil")))

    def choose(paths):
        chosen = np.random.default_rng(0).choice(len(paths), min(OPTIONS.sample, len(paths)), False)
        return [paths[i] for i in chosen]

    paths, values, base, base_seconds, seconds = run(torch.float32, sides, targets, choose)
    _, values64, base64, _, _ = run(torch.float64, sides, targets, choose)
    wall, cpu = base_seconds + seconds.mean(axis=0) * len(paths)
    OPTIONS.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(OPTIONS.out, cells=np.array(choose(paths)), cells_total=len(paths), logit_diff=values,
             corrupted=base, logit_diff64=values64, corrupted64=base64, seconds_total=wall,
             cpu_total=cpu)
    print(f"TransformerLens {metadata.version('transformer-lens')}, PyTorch {torch.__version__}, "
          f"{OPTIONS.threads} threads, paths from head to {OPTIONS.component}: {len(values)} of "
          f"{len(paths)} paths x {len(pairs)} pairs, {seconds[:, 0].mean():.2f} s each "
          f"({seconds[:, 0].min():.2f} to {seconds[:, 0].max():.2f}; {seconds[:, 1].mean():.2f} "
          f"processor seconds), whole sweep {wall:.1f} s")


if __name__ == "__main__":
    main()
