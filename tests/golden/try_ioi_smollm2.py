#!/usr/bin/env python3
"""Compare sweeps of SmolLM2 with `transformers` in float32, on pairs that nothing else uses.

    make/fetch_smollm2.sh build/models/SmolLM2-135M-Instruct.Q4_1.gguf
    build/peers/bin/python tests/golden/try_ioi_smollm2.py [SEED] [--pairs N] [--corrupt s2]

Makes pairs with `patchbay prompts ioi`, patches every head's z, q, k and v in both directions with
`patchbay run`, and the same with forward hooks on LlamaForCausalLM, whose weights `transformers`
itself dequantises from the file. Prints the largest difference of each sweep as a share of its
largest effect; status 1 where one is above 1e-3. Needs torch, transformers, gguf and h5py.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = ROOT / "build/models/SmolLM2-135M-Instruct.Q4_1.gguf"
PATCHBAY = os.environ.get("PATCHBAY", ROOT / "build/release/patchbay")
SITES = {"z": "o_proj", "q": "q_proj", "k": "k_proj", "v": "v_proj"}
TOLERANCE = 1e-3


def run_patchbay(args, work):
    pairs, out = work / "pairs.jsonl", work / "out.h5"
    subprocess.run([PATCHBAY, "prompts", "ioi", "--pairs", str(args.pairs), "--corrupt", args.corrupt,
                    "--seed", str(args.seed), "--model", MODEL, "-o", pairs], check=True)
    config = {"model": {"path": str(MODEL)}, "pairs": str(pairs), "output": str(out),
              "sweep": [{"site": site, "direction": direction} for site in SITES
                        for direction in ("denoise", "noise")]}
    (work / "run.yaml").write_text(json.dumps(config))
    subprocess.run([PATCHBAY, "run", "--quiet", work / "run.yaml"], check=True)
    return h5py.File(out)


class Reference:
    """A Llama whose heads can be patched, one row of the batch a head."""

    def __init__(self):
        self.model = AutoModelForCausalLM.from_pretrained(
            MODEL.parent, gguf_file=MODEL.name, dtype=torch.float32, attn_implementation="eager").eval()
        self.layers = self.model.model.layers
        self.width = self.model.config.head_dim

    def module(self, layer, site):
        return getattr(self.layers[layer].self_attn, SITES[site])

    def logit_diff(self, tokens, answer, foil, rows=1):
        with torch.no_grad():
            logits = self.model(tokens.expand(rows, -1)).logits[:, -1]
        return (logits[:, answer] - logits[:, foil]).numpy()

    def cache(self, tokens):
        """What each site holds in each layer."""
        kept, hooks = {}, []
        for layer in range(len(self.layers)):
            for site in SITES:
                def keep(module, inputs, output, key=(layer, site)):
                    kept[key] = (inputs[0] if key[1] == "z" else output).detach().clone()
                hooks.append(self.module(layer, site).register_forward_hook(keep))
        with torch.no_grad():
            self.model(tokens)
        for hook in hooks:
            hook.remove()
        return kept

    def patched(self, tokens, donor, layer, site, answer, foil):
        """LD for each head of the layer, its activation taken from the donor."""
        value, width = donor[layer, site], self.width
        rows = value.shape[-1] // width

        def change(activation):
            activation = activation.clone()
            for row in range(rows):
                part = slice(row * width, (row + 1) * width)
                activation[row, :, part] = value[0, :, part]
            return activation
        module = self.module(layer, site)
        if site == "z":
            hook = module.register_forward_pre_hook(lambda m, inputs: (change(inputs[0]),))
        else:
            hook = module.register_forward_hook(lambda m, inputs, output: change(output))
        result = self.logit_diff(tokens, answer, foil, rows)
        hook.remove()
        return result


def compare(f, reference):
    pairs, worst = f["pairs"], {}
    for p in range(len(pairs["length"])):
        n = pairs["length"][p]
        answer, foil = int(pairs["answer_token"][p]), int(pairs["foil_token"][p])
        tokens = {side: torch.tensor(pairs[f"{side}_tokens"][p, :n].astype(np.int64))[None]
                  for side in ("clean", "corrupted")}
        caches = {side: reference.cache(t) for side, t in tokens.items()}
        for side, t in tokens.items():
            ours, theirs = f[f"base/{side}/logit_diff"][p], reference.logit_diff(t, answer, foil)[0]
            print(f"pair {p} {side}: logit difference {ours:.5f}, transformers {theirs:.5f}")
        for i, (site, direction) in enumerate((s, d) for s in SITES for d in ("denoise", "noise")):
            donor, recipient = ("clean", "corrupted")[::1 if direction == "denoise" else -1]
            ours = f[f"sweeps/{i}_patch_{site}_{direction}_all/logit_diff"][p]
            theirs = np.array([reference.patched(tokens[recipient], caches[donor], layer, site, answer,
                                                 foil) for layer in range(len(reference.layers))])
            base = f[f"base/{recipient}/logit_diff"][p]
            share = np.abs(ours - theirs).max() / np.abs(ours - base).max()
            worst[site, direction] = max(worst.get((site, direction), 0), share)
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int, nargs="?", default=20261126)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--corrupt", default="s2")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        worst = compare(run_patchbay(args, Path(work)), Reference())
    for (site, direction), share in worst.items():
        print(f"{site} {direction}: largest difference {share:.2e} of the largest effect")
    sys.exit(int(max(worst.values()) > TOLERANCE))


if __name__ == "__main__":
    main()
