"""Try the engine on fresh random models: try_random.py [--patchbay BIN] [--keep DIR] SEED...

Each seed makes a model of a random family with random sizes and flags, and random pairs; Patchbay
runs all z sweeps and the result is compared with the float64 reference. With no seed, one is taken
from the clock and printed. Needs torch, transformers, safetensors, h5py; the binary is
build/release/patchbay or PATCHBAY. Prints one line a seed and a final count; exit 1 on failure.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import engine_models as em
from compare_engine import compare
from engine_reference import largest_effect, reference_results, write_expected

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ("gpt2", "gpt_neo", "gpt_neox")
ACTIVATIONS = ("gelu_new", "gelu", "relu", "silu", "gelu_pytorch_tanh")


def random_config(rng, family):
    """A config of the family: any sizes, any flags."""
    def flag():
        return bool(rng.integers(2))

    heads, layers = int(rng.integers(1, 7)), int(rng.integers(1, 6))
    head_width = int(rng.integers(2, 12))
    width, context = heads * head_width, int(rng.integers(24, 90))
    vocab = int(rng.integers(8, 90))
    inner = int(rng.integers(5, 5 * width))
    act = str(rng.choice(ACTIVATIONS))
    eps = float(rng.choice([1e-5, 1e-6, 1e-3]))
    if family == "gpt2":
        return dict(n_embd=width, n_head=heads, n_layer=layers, n_positions=context,
                    vocab_size=vocab, n_inner=inner if flag() else None, layer_norm_epsilon=eps,
                    activation_function=act, tie_word_embeddings=flag(),
                    scale_attn_weights=flag(), scale_attn_by_inverse_layer_idx=flag())
    if family == "gpt_neo":
        kinds = [[[str(rng.choice(["global", "local"]))], 1] for _ in range(layers)]
        if layers % 2 == 0 and flag():
            kinds = [[["global", "local"], layers // 2]]
        return dict(hidden_size=width, num_heads=heads, num_layers=layers, vocab_size=vocab,
                    max_position_embeddings=context, attention_types=kinds,
                    window_size=int(rng.integers(1, 12)), layer_norm_epsilon=eps,
                    intermediate_size=inner if flag() else None, activation_function=act,
                    tie_word_embeddings=flag())
    # an even number of rotated dimensions, as all published models have
    head_width += head_width % 2
    rotated = 2 * int(rng.integers(1, head_width // 2 + 1))
    part = rotated / head_width
    return dict(hidden_size=heads * head_width, num_attention_heads=heads, vocab_size=vocab,
                num_hidden_layers=layers, intermediate_size=inner, max_position_embeddings=context,
                hidden_act=act, layer_norm_eps=eps, tie_word_embeddings=flag(),
                use_parallel_residual=flag(), attention_bias=flag(), rotary_pct=part,
                rotary_emb_base=int(rng.choice([100, 10000, 1000000])))


def flatten_rope(folder):
    """rope_parameters as the flat keys of older versions."""
    def change(config):
        rope = config.pop("rope_parameters")
        config["rotary_pct"] = rope["partial_rotary_factor"]
        config["rotary_emb_base"] = rope["rope_theta"]
    em.rewrite_config(folder, change)


def random_pairs(rng, n_vocab, context):
    pairs = []
    for _ in range(int(rng.integers(1, 12))):
        length = int(rng.integers(1, min(context, 16) + 1))
        if rng.random() < 0.08:
            length = int(rng.integers(16, context + 1))
        kind = rng.choice(["one", "two", "first", "last", "none", "many"],
                          p=[0.35, 0.2, 0.15, 0.15, 0.05, 0.1])
        differ = {"one": [int(rng.integers(length))], "first": [0], "last": [length - 1],
                  "two": rng.integers(length, size=2).tolist(), "none": [],
                  "many": rng.integers(length, size=length).tolist()}[kind]
        pairs.append(em.make_pair(rng, n_vocab, length, sorted(set(differ)),
                                  int(rng.integers(3))))
    if not any(p["clean"] != p["corrupted"] for p in pairs):
        pairs.append(em.make_pair(rng, n_vocab, 5, [2]))
    return pairs


def try_seed(seed, patchbay, folder):
    """(ok, line, report) of one seed, with everything left in `folder`."""
    rng = np.random.default_rng(seed)
    family = str(rng.choice(FAMILIES))
    config = random_config(rng, family)
    dtype = str(rng.choice(list(em.DTYPES)))
    gain = 0.8 if family == "gpt_neo" or not config.get("scale_attn_weights", True) else 1.5
    em.make_model(folder / "model", family, config, seed, dtype, gain,
                  outliers=family == "gpt2" and rng.random() < 0.25)
    if family == "gpt_neox" and rng.random() < 0.5:
        flatten_rope(folder / "model")
    context = config.get("n_positions") or config["max_position_embeddings"]
    pairs = random_pairs(rng, config["vocab_size"], context)
    em.write_pairs(folder / "pairs.jsonl", pairs)
    full = tuple(str(s) for s in rng.choice(["denoise_all", "noise_last", "denoise_each"], 1)) \
        if rng.random() < 0.4 else ()
    metrics = ("logit_diff", "candidates", "prob", "logprob", "rank", "kl") if full \
        else ("logit_diff",)
    chunk = int(rng.integers(1, 5)) if rng.random() < 0.5 else "auto"
    em.write_run(folder / "run.yaml", folder / "model", folder / "pairs.jsonl", metrics, chunk)
    results, _, single = reference_results(folder / "model", pairs, full)
    write_expected(folder / "expected.h5", results)
    about = (f"seed {seed}: {family} {dtype}, {len(pairs)} pairs, largest effect "
             f"{largest_effect(results):.3g}, plain float32 off by {single:.1g}")
    run = subprocess.run([patchbay, "run", folder / "run.yaml", "-o", folder / "result.h5"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if run.returncode != 0:
        return False, about + f": FAILED: patchbay run ended with {run.returncode}", run.stdout
    # where even plain float32 strays, so much is allowed for
    tolerance = max(1e-4, 3.0 * single)
    ok, worst, lines = compare(folder / "result.h5", folder / "expected.h5", tolerance)
    return ok, about + f": {'ok' if ok else 'FAILED'}: off by {worst:.2g}", "\n".join(lines)


def parser_of(description):
    """The command line of a script that tries seeds."""
    parser = argparse.ArgumentParser(description=description.split("\n", maxsplit=1)[0])
    parser.add_argument("--patchbay", default=os.environ.get("PATCHBAY",
                                                             ROOT / "build/release/patchbay"))
    parser.add_argument("--keep", help="folder to leave models and results in, one each seed")
    parser.add_argument("seeds", nargs="*", type=int, metavar="SEED")
    return parser


def try_seeds(options, try_one):
    """Try every seed of the options; try_one(seed, folder) gives ok, a line and a report. Prints
    the lines, and the reports of those that fail; ends the program."""
    failed = 0
    seeds = options.seeds or [int(time.time())]
    for seed in seeds:
        with tempfile.TemporaryDirectory() as temp:
            folder = Path(options.keep or temp).resolve() / str(seed)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "result.h5").unlink(missing_ok=True)
            ok, line, report = try_one(seed, folder)
        print(line, flush=True)
        if not ok:
            print(report, flush=True)
            failed += 1
    print(f"{len(seeds) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def main():
    options = parser_of(__doc__).parse_args()
    try_seeds(options, lambda seed, folder: try_seed(seed, options.patchbay, folder))


if __name__ == "__main__":
    main()
