"""Try the families on fresh random models: try_families.py [--patchbay BIN] [--keep DIR] [-n N] [SEED]

Each of the N (20) seeds from SEED on (default: from the clock, printed) makes a model of a random
family with random sizes, flags, RoPE scaling, dtype and form of checkpoint, and random pairs;
Patchbay's z, q, k and v sweeps are compared with the float64 reference of make_families.py. Prints a
line a seed and a final count; exit 1 on failure. Needs torch, transformers, safetensors, h5py.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

import engine_models as em
import make_families as mf

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
ACTIVATIONS = ("silu", "gelu", "gelu_new", "relu", "gelu_pytorch_tanh")


class Draw:
    def __init__(self, seed):
        self.rng = np.random.default_rng([seed, 77])

    def flag(self):
        return bool(self.rng.integers(2))

    def whole(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def one_of(self, values):
        return values[self.rng.integers(len(values))]


def rope(d, dims, kinds=("default", "linear", "dynamic", "llama3", "yarn")):
    kind = d.one_of(kinds)
    p = dict(rope_type=kind, rope_theta=float(d.one_of([100.0, 1000.0, 10000.0, 500000.0])))
    if kind in ("linear", "dynamic", "yarn"):
        p["factor"] = float(d.one_of([1.5, 2.0, 4.0, 8.0]))
    if kind == "yarn":
        p.update(original_max_position_embeddings=d.one_of([16, 24, 32]), beta_fast=float(d.one_of([4, 32])),
                 beta_slow=1.0)
        if d.flag():
            p["attention_factor"] = float(d.one_of([0.9, 1.2]))
    if kind == "llama3":
        p.update(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                 original_max_position_embeddings=d.one_of([16, 32]))
    return p


def layer_types(d, layers):
    return [d.one_of(["sliding_attention", "full_attention"]) for _ in range(layers)]


def base(d):
    heads = d.whole(1, 6)
    kv = d.one_of([k for k in range(1, heads + 1) if heads % k == 0])
    width = 2 * d.whole(2, 7)
    c = dict(hidden_size=heads * width, intermediate_size=d.whole(6, 60), num_hidden_layers=d.whole(1, 4),
             num_attention_heads=heads, num_key_value_heads=kv, vocab_size=d.whole(24, 80),
             max_position_embeddings=64, rms_norm_eps=d.one_of([1e-6, 1e-5, 1e-3]))
    return c, width


def free_width(d, c, width):
    """A head width of its own, beside a width of the model that need not be its multiple."""
    if d.flag():
        c["head_dim"] = width
        c["hidden_size"] = 2 * c["num_attention_heads"] * d.whole(1, 6)
    return c


def llama(d, c, width):
    free_width(d, c, width)
    c.update(attention_bias=d.flag(), mlp_bias=d.flag(), hidden_act=d.one_of(ACTIVATIONS),
             rope_parameters=rope(d, width))


def mistral(d, c, width):
    free_width(d, c, width)
    c.update(sliding_window=d.one_of([None, 3, 7]), rope_parameters=rope(d, width))


def qwen2(d, c, width):
    c.update(use_sliding_window=d.flag(), sliding_window=d.whole(2, 8),
             max_window_layers=d.whole(0, c["num_hidden_layers"]), rope_parameters=rope(d, width))


def qwen3(d, c, width):
    free_width(d, c, width)
    c.setdefault("head_dim", width)
    c.update(attention_bias=d.flag(), use_sliding_window=True, sliding_window=d.whole(2, 8),
             layer_types=layer_types(d, c["num_hidden_layers"]), rope_parameters=rope(d, width))


def gemma(d, c, width):
    free_width(d, c, width)
    c.setdefault("head_dim", width)
    c.update(attention_bias=d.flag(), rope_parameters=rope(d, width))


def gemma2(d, c, width):
    gemma(d, c, width)
    c.update(query_pre_attn_scalar=d.whole(4, 40), attn_logit_softcapping=d.one_of([None, 1.0, 5.0]),
             final_logit_softcapping=d.one_of([None, 3.0, 20.0]), sliding_window=d.whole(2, 8),
             layer_types=layer_types(d, c["num_hidden_layers"]))


def gemma3_text(d, c, width):
    gemma(d, c, width)
    c.update(query_pre_attn_scalar=d.whole(4, 40), sliding_window=d.whole(2, 8),
             final_logit_softcapping=d.one_of([None, 5.0]),
             layer_types=layer_types(d, c["num_hidden_layers"]),
             rope_parameters=dict(sliding_attention=rope(d, width, ("default",)),
                                  full_attention=rope(d, width, ("default", "linear"))))


def partial(d, c, width, kinds=("default", "linear")):
    share = d.one_of([0.25, 0.5, 1.0])
    if int(width * share) % 2:
        share = 1.0
    c["rope_parameters"] = dict(rope(d, width, kinds), partial_rotary_factor=share)
    return int(width * share)


def phi(d, c, width):
    c.update(hidden_act=d.one_of(ACTIVATIONS), qk_layernorm=d.flag())
    c["layer_norm_eps"] = c.pop("rms_norm_eps")
    partial(d, c, width)


def phi3(d, c, width):
    c.update(sliding_window=d.one_of([None, 5]), pad_token_id=0)
    dims = partial(d, c, width, ("default",))
    if d.flag():
        original = d.one_of([10, 32])
        c["original_max_position_embeddings"] = original
        factors = {f"{side}_factor": [round(1.0 + 0.3 * i * d.whole(0, 4), 2) for i in range(dims // 2)]
                   for side in ("short", "long")}
        c["rope_parameters"].update(rope_type="longrope", original_max_position_embeddings=original,
                                    **factors)


def olmo(d, c, width):
    c.pop("rms_norm_eps")
    c.update(attention_bias=d.flag(), pad_token_id=0, rope_parameters=rope(d, width))


def olmo2(d, c, width):
    c.update(attention_bias=d.flag(), pad_token_id=0, rope_parameters=rope(d, width))


def stablelm(d, c, width):
    c["layer_norm_eps"] = c.pop("rms_norm_eps")
    c.update(use_qkv_bias=d.flag(), use_parallel_residual=d.flag(), hidden_act=d.one_of(ACTIVATIONS))
    partial(d, c, width)


def gptj(d, c, width):
    heads, rotary = c["num_attention_heads"], 2 * d.whole(1, width // 2)
    layers, vocab = c["num_hidden_layers"], c["vocab_size"]
    inner = d.one_of([None, d.whole(6, 60)])
    c.clear()
    c.update(n_embd=heads * width, n_head=heads, n_layer=layers, n_inner=inner, vocab_size=vocab,
             n_positions=64, rotary_dim=rotary, activation_function=d.one_of(ACTIVATIONS),
             tie_word_embeddings=d.flag())


def smollm3(d, c, width):
    c.update(no_rope_layers=[d.whole(0, 1) for _ in range(c["num_hidden_layers"])],
             attention_bias=d.flag(), mlp_bias=d.flag(), pad_token_id=0, use_sliding_window=True,
             sliding_window=d.whole(2, 8), layer_types=layer_types(d, c["num_hidden_layers"]),
             rope_parameters=rope(d, width, ("default", "linear", "yarn")))


FAMILIES = (llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3_text, phi, phi3, olmo, olmo2, stablelm,
            gptj, smollm3)


def random_model(folder, seed):
    """The model in its folder; a description."""
    d = Draw(seed)
    family = d.one_of(FAMILIES)
    config, width = base(d)
    family(d, config, width)
    if family is not gptj and d.flag():
        config["tie_word_embeddings"] = d.flag()
    dtype, form = d.one_of(["F32", "F16", "BF16"]), d.one_of(["", "shards", "bin", "bin shards"])
    mf.make_model(folder, family.__name__, dtype, config, seed)
    if form:
        mf.store_as(folder, form)
    return f"{family.__name__} {dtype} {form or 'safetensors'} {config}", config["vocab_size"]


def differences(ours, expected):
    """Each sweep's largest difference as a share of its largest effect."""
    with h5py.File(ours) as f:
        for i, site in enumerate(mf.SITES):
            got = f[f"sweeps/{i}_patch_{site}_denoise_all/logit_diff"][:]
            want = expected[site]
            effect = np.abs(want - expected["corrupted"][:, None, None]).max()
            yield site, np.abs(got - want).max() / effect if effect > 0 else np.abs(got - want).max()


def try_seed(seed, folder, patchbay):
    text, vocab = random_model(folder, seed)
    rng = np.random.default_rng(seed)
    pairs = em.standard_pairs(rng, vocab)[:3] + [em.make_pair(rng, vocab, 20, [4, 11])]
    em.write_pairs(folder / "pairs.jsonl", pairs)
    mf.write_run(folder, folder)
    run = subprocess.run([patchbay, "run", "--quiet", folder / "run.yaml", "-o", folder / "out.h5"],
                         capture_output=True, text=True)
    if run.returncode:
        print(f"seed {seed}: FAILED: {text}\n{run.stderr}", flush=True)
        return False
    shares = dict(differences(folder / "out.h5", mf.reference(folder, pairs)))
    good = max(shares.values()) <= TOLERANCE
    worst = max(shares.values())
    print(f"seed {seed}: {'ok' if good else 'FAILED'} {worst:.1e} {text if not good else text.split(' {')[0]}"
          f"{'' if good else shares}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int, nargs="?", default=int(time.time()))
    parser.add_argument("-n", type=int, default=20)
    parser.add_argument("--patchbay", default=os.environ.get("PATCHBAY", ROOT / "build/release/patchbay"))
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        work = args.keep or Path(temporary)
        for seed in range(args.seed, args.seed + args.n):
            failed += not try_seed(seed, (work / str(seed)).resolve(), args.patchbay)
    print(f"{args.n - failed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
