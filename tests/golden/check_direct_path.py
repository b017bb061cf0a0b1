"""Paths with `freeze: all` against TransformerLens's get_act_patch_direct_path_all_sources, which
builds the same edge another way: the sender's change is added to the receiver's own copy of the
residual stream.

    python tests/golden/check_direct_path.py [MODEL_FOLDER...]
    (needs transformer_lens 4.3; default: the golden models of the sweeps)

Weights are the model's own (nothing folded). TransformerLens's bridge of `transformers` runs in
float32 there in places, so the two agree to float32, not to float64. Only what it offers can be
compared: heads to q, k and v, denoising, all positions.
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformer_lens import patching
from transformer_lens.model_bridge import TransformerBridge

from engine_reference import load
from sweep_hooks import HookedModel
from sweep_reference import SweepReference
from sweep_rows import read_row

HERE = Path(__file__).resolve().parent
ALLOWED = 2e-4  # of the largest effect: float32 in a full recompute


def bridge(folder):
    model = TransformerBridge.boot_transformers(str(folder), dtype=torch.float32, device="cpu")
    model.eval()
    return model


def peer(model, pair, component):
    """[sender layer, sender head, receiver layer, receiver head] LD, NaN where there is no path."""
    clean, corrupted = (torch.tensor([pair[side]]) for side in ("clean", "corrupted"))
    with torch.no_grad():
        _, clean_cache = model.run_with_cache(clean)
        _, corrupted_cache = model.run_with_cache(corrupted)
        out = patching.get_act_patch_direct_path_all_sources(
            model, corrupted, clean_cache, corrupted_cache,
            lambda logits: logits[0, -1, pair["answer"]] - logits[0, -1, pair["foil"]],
            component=component, verbose=False).double().numpy()
    layers = np.arange(out.shape[0])
    out[np.broadcast_to((layers[:, None] >= layers)[:, None, :, None], out.shape)] = np.nan
    return out


def check(folder):
    pairs = [json.loads(line) for line in (folder / "mixed.jsonl").read_text().splitlines()]
    reference = SweepReference(HookedModel(load(folder)), pairs)
    model, ok = bridge(folder), True
    try:
        model.set_use_split_qkv_input(True)
    except NotImplementedError:
        print(f"{folder.name}: TransformerLens has no input of single heads here: left out")
        return True
    base = reference.base_differences("corrupted").reshape(-1, 1, 1, 1, 1)
    for component in "qkv":
        row = read_row(0, {"intervention": "path", "sender": "head", "receiver": component,
                           "freeze": "all", "positions": "all"})
        ours = reference.expected(row) - base
        theirs = np.stack([peer(model, pair, component) for pair in pairs]) - base
        same = np.array_equal(np.isnan(ours), np.isnan(theirs))
        off = np.nanmax(np.abs(ours - theirs)) / np.nanmax(np.abs(ours))
        right = same and off <= ALLOWED
        ok = ok and right
        print(f"{folder.name}, head to {component}: off by {off:.2g} of the largest effect "
              f"({np.nanmax(np.abs(ours)):.3g}): {'ok' if right else 'FAILED'}")
    return ok


def main():
    folders = [Path(f) for f in sys.argv[1:]] or sorted((HERE / "sweeps").iterdir())
    results = [check(folder) for folder in folders]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
