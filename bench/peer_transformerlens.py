"""The peer: z patches by TransformerLens's own patching loop, timed.

    peer_transformerlens.py FOLDER OUT.npz [--positions all|last|each] [--threads N] [--sample N]
                            [--all-sample N] [--device cpu|cuda]

FOLDER is what make_gpt2_shape.py makes. The model is TransformerLens's, over the same float32
weights without processing; the loop is get_act_patch_attn_head_out_all_pos (or _by_pos) with the
whole batch of pairs, denoising, no gradients. `all` runs every head, or --all-sample of them;
`each` and `last` time a random sample of cells at the full batch (--sample), since each cell costs
one same forward pass, and say what the whole sweep would take. The time is that of the run with cache and the loop;
importing and loading are reported apart. OUT.npz: cells [n, 2 or 3] (layer, head(, position)),
logit_diff [n, pair]; clean, corrupted [pair], the base runs'; seconds, cells_total, seconds_total.
"""
import argparse
import json
import os
import time
from importlib import metadata
from pathlib import Path

START = time.perf_counter()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--positions", choices=("all", "last", "each"), default="all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sample", type=int, default=24, help="cells timed for each and last")
    parser.add_argument("--all-sample", type=int, default=0, help="heads timed for all; 0: every")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return parser.parse_args()


OPTIONS = arguments()
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = str(OPTIONS.threads)

import numpy as np  # noqa: E402  (the environment must be set before these are imported)
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from transformer_lens import patching  # noqa: E402
from peer_model import load  # noqa: E402


def cells_of(positions, n_layers, n_heads, n_positions, sample):
    """(cells to run as rows of layer, position, head; how many the whole sweep has)."""
    rng = np.random.default_rng(0)
    at = [n_positions - 1] if positions == "last" else range(n_positions)
    rows = [(layer, position, head) for layer in range(n_layers) for position in at
            for head in range(n_heads)]
    chosen = sorted(rng.choice(len(rows), min(sample, len(rows)), replace=False))
    return [rows[i] for i in chosen], len(rows)


def sweep(model, pairs, positions, sample):
    """(cells [n, 2 or 3], logit_diff [n, pair], base logit_diffs, cells in all, seconds of the
    base runs, seconds of all)."""
    device = OPTIONS.device
    clean, corrupted = (torch.tensor([p[side] for p in pairs], device=device)
                        for side in ("clean", "corrupted"))
    answer, foil = (torch.tensor([p[key] for p in pairs], device=device)
                    for key in ("answer", "foil"))
    rows = torch.arange(len(pairs), device=device)

    def logit_diff(logits):
        return logits[rows, -1, answer] - logits[rows, -1, foil]

    model(corrupted)  # libraries and kernels are loaded now
    settle()
    begin = time.perf_counter()
    clean_logits, cache = model.run_with_cache(clean, names_filter=lambda n: n.endswith("hook_z"))
    base = {"clean": logit_diff(clean_logits), "corrupted": logit_diff(model(corrupted))}
    settle()
    base_seconds = time.perf_counter() - begin
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    if positions == "all":
        cells = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
        total = len(cells)
        if OPTIONS.all_sample:
            chosen = np.random.default_rng(0).choice(total, OPTIONS.all_sample, replace=False)
            cells = [cells[i] for i in sorted(chosen)]
        result = patching.get_act_patch_attn_head_out_all_pos(
            model, corrupted, cache, logit_diff, reduce="none", index_axis_names=None,
            index_df=pd.DataFrame(cells, columns=["layer", "head"]))
        settle()
        return cells, result.values, base, total, base_seconds, time.perf_counter() - begin
    index, total = cells_of(positions, n_layers, n_heads, clean.shape[1], sample)
    result = patching.get_act_patch_attn_head_out_by_pos(
        model, corrupted, cache, logit_diff, reduce="none", index_axis_names=None,
        index_df=pd.DataFrame(index, columns=["layer", "pos", "head"]))
    settle()
    cells = [(layer, head, position) for layer, position, head in index]
    return cells, result.values, base, total, base_seconds, time.perf_counter() - begin


def settle():
    if OPTIONS.device == "cuda":
        torch.cuda.synchronize()


def main():
    torch.set_num_threads(OPTIONS.threads)
    torch.set_grad_enabled(False)
    pairs = [json.loads(line) for line in (OPTIONS.folder / "pairs.jsonl").read_text().splitlines()]
    model = load(OPTIONS.folder, device=OPTIONS.device)
    loaded = time.perf_counter()
    cells, values, base, total, base_seconds, seconds = sweep(model, pairs, OPTIONS.positions,
                                                              OPTIONS.sample)
    # a sample stands for the whole loop; the base runs are made once in either case
    whole = base_seconds + (seconds - base_seconds) * total / len(cells)
    OPTIONS.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(OPTIONS.out, cells=np.array(cells), logit_diff=values.double().cpu().numpy(),
             seconds=seconds, cells_total=total, seconds_total=whole,
             **{side: value.double().cpu().numpy() for side, value in base.items()})
    patches = len(cells) * len(pairs)
    where = (torch.cuda.get_device_name() if OPTIONS.device == "cuda"
             else f"{OPTIONS.threads} threads")
    print(f"TransformerLens {metadata.version('transformer-lens')}, PyTorch {torch.__version__}, "
          f"{where}, {OPTIONS.positions}: {len(cells)} of {total} cells x "
          f"{len(pairs)} pairs in {seconds:.2f} s, {patches / seconds:.2f} patches/s, "
          f"whole sweep {whole:.1f} s "
          f"(importing and loading before: {loaded - START:.1f} s)")


if __name__ == "__main__":
    main()
