"""Make the goldens of the engine: tiny random models, pairs, and float64 results of every z sweep.

    python tests/golden/make_engine.py [MODEL...]   (needs torch, transformers, safetensors, h5py)

Writes tests/golden/engine/<model>/{config.json, model.safetensors, pairs.jsonl, run.yaml,
expected.h5} (tokenizer.json too where pairs are text). The same versions of the packages give the
same files, byte for byte. Together the models use every flag of the three families:

    gpt2_plain           odd sizes (3 heads of width 5), gelu_new, tied, as save_pretrained writes
    gpt2_hub             names without `transformer.`, mask buffers of several types, F16,
                         scale_attn_by_inverse_layer_idx, n_inner, keys absent as in old files
    gpt2_untied          its own lm_head, scale_attn_weights off, exact gelu, BF16
    gpt2_outliers        dimensions 20 times larger than the others, layer_norm_epsilon 1e-3,
                         reorder_and_upcast_attn (which changes nothing), a long pair
    gpt_neo_windows      global, local, local; window 5; a pair of 70 tokens
    gpt_neo_general      local, global, local, local; window 3; intermediate_size; relu; F16
    gpt_neo_window_one   a window that sees one token; silu; untied
    gpt_neox_parallel    nested rope_parameters (0.25), tokenizer with fewer tokens than rows, pairs
                         as text, every metric
    gpt_neox_sequential  flat config (rotary_pct 0.5, rotary_emb_base 500), old buffers, F16
    gpt_neox_full        rotary_pct 1.0, attention_bias off, BF16, a pair of 70 tokens
    gpt_neox_default     rotary_pct absent (0.25), tied embeddings, gelu_new, sequential

expected.h5: length, first_difference [pair]; base/{clean,corrupted}/<metric> [pair];
<direction>_<positions>/<metric> [pair, layer, head(, position)], NaN past a prompt's end, all
float64. rank_*_low and rank_*_high bound what a rank may be when logits are off by 1e-4.
"""
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import engine_models as em
from engine_reference import largest_effect, reference_results, write_expected

ROOT = Path(__file__).resolve().parents[2]
ENGINE = Path("tests/golden/engine")  # run.yaml names it so: runs start at the repository's root

GPT2 = dict(n_embd=24, n_head=4, n_layer=3, vocab_size=40, n_positions=24)
NEO = dict(hidden_size=24, num_heads=4, vocab_size=40, max_position_embeddings=80)
NEOX = dict(hidden_size=32, num_attention_heads=2, num_hidden_layers=3, intermediate_size=48,
            vocab_size=40, max_position_embeddings=24)


# ---- what is changed by hand after saving -------------------------------------------------------

def hub_gpt2(folder):
    """GPT-2 as on the hub: no prefix, causal masks as buffers, few keys in the config."""
    def tensors(old):
        new = {name.removeprefix("transformer."): t for name, t in old.items()}
        context = GPT2["n_positions"]
        mask = torch.tril(torch.ones(context, context)).view(1, 1, context, context)
        for i, dtype in enumerate((torch.float32, torch.uint8, torch.bool)):
            new[f"h.{i}.attn.bias"] = mask.to(dtype)
            new[f"h.{i}.attn.masked_bias"] = torch.tensor(float("-inf"), dtype=torch.float16)
        return new

    def config(c):
        for key in ("tie_word_embeddings", "scale_attn_weights", "reorder_and_upcast_attn", "dtype",
                    "add_cross_attention", "pad_token_id", "transformers_version", "use_cache"):
            c.pop(key, None)
        c["n_ctx"] = c["n_positions"]

    em.rewrite_tensors(folder, tensors)
    em.rewrite_config(folder, config)


def upcast_gpt2(folder):
    em.rewrite_config(folder, lambda c: c.update(reorder_and_upcast_attn=True))


def flat_rotary(part, base, buffers):
    """GPT-NeoX as older versions wrote it: flat rotary keys (absent where None), buffers."""
    def change(folder):
        def config(c):
            c.pop("rope_parameters")
            c.pop("attention_bias")
            c.update({k: v for k, v in (("rotary_pct", part), ("rotary_emb_base", base))
                      if v is not None})

        def tensors(t):
            context = NEOX["max_position_embeddings"]
            head = NEOX["hidden_size"] // NEOX["num_attention_heads"]
            dims = int(head * (part or 0.25))
            for i in range(NEOX["num_hidden_layers"]):
                p = f"gpt_neox.layers.{i}.attention."
                mask = torch.tril(torch.ones(context, context, dtype=torch.bool))
                t[p + "bias"] = mask.view(1, 1, context, context)
                t[p + "masked_bias"] = torch.tensor(-1e9)
                t[p + "rotary_emb.inv_freq"] = \
                    1.0 / (base or 10000) ** (torch.arange(0, dims, 2).float() / dims)

        em.rewrite_config(folder, config)
        if buffers:
            em.rewrite_tensors(folder, tensors)
    return change


def byte_tokenizer(folder):
    """A byte-level tokenizer without merges: 256 bytes and one special token."""
    vocab = {char: i for i, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(folder / "tokenizer.json"))


def text_pairs(folder, rng, n_vocab):
    """(pairs as ids, the same as written): some as text, some with ids past the tokenizer."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    written = [{"clean": "The cat is", "corrupted": "The dog is", "answer": "n", "foil": "x",
                "candidates": ["q", " "], "topic": "pets"},
               {"clean": "a = 1;", "corrupted": "b = 1;", "answer": "a", "foil": "b"},
               {"clean": "né?", "corrupted": "né!", "answer": "Z", "foil": "0",
                "candidates": [7, "7", 275]}]
    pairs = []
    for line in written:
        pair = {k: tokenizer.encode(line[k]).ids for k in ("clean", "corrupted")}
        pair.update({k: tokenizer.encode(line[k]).ids[0] for k in ("answer", "foil")})
        pair["candidates"] = [c if isinstance(c, int) else tokenizer.encode(c).ids[0]
                              for c in line.get("candidates", [])]
        pairs.append(pair)
    by_ids = em.standard_pairs(rng, n_vocab)
    return pairs + by_ids, written + by_ids


MODELS = {
    "gpt2_plain": dict(family="gpt2", seed=11, config=dict(
        GPT2, n_embd=15, n_head=3, n_layer=2)),
    "gpt2_hub": dict(family="gpt2", seed=12, dtype="F16", after=hub_gpt2, config=dict(
        GPT2, n_inner=44, scale_attn_by_inverse_layer_idx=True), chunk=3),
    "gpt2_untied": dict(family="gpt2", seed=13, dtype="BF16", gain=1.0, config=dict(
        GPT2, tie_word_embeddings=False, scale_attn_weights=False, activation_function="gelu")),
    "gpt2_outliers": dict(family="gpt2", seed=14, outliers=True, after=upcast_gpt2, long=(67,),
                          config=dict(GPT2, n_embd=32, n_layer=4, n_positions=67,
                                      layer_norm_epsilon=1e-3)),
    "gpt_neo_windows": dict(family="gpt_neo", seed=21, gain=0.9, long=(70,), config=dict(
        NEO, num_layers=3, attention_types=[[["global", "local", "local"], 1]], window_size=5)),
    "gpt_neo_general": dict(family="gpt_neo", seed=22, gain=0.9, dtype="F16", config=dict(
        NEO, num_layers=4, attention_types=[[["local"], 1], [["global"], 1], [["local"], 2]],
        window_size=3, intermediate_size=40, activation_function="relu")),
    "gpt_neo_window_one": dict(family="gpt_neo", seed=23, gain=0.9, config=dict(
        NEO, num_layers=2, hidden_size=21, num_heads=3, attention_types=[[["local", "global"], 1]],
        window_size=1, activation_function="silu", tie_word_embeddings=False)),
    "gpt_neox_parallel": dict(family="gpt_neox", seed=31, text=True,
                              full=("denoise_all", "noise_each"),
                              chunk=4,
                              config=dict(NEOX, vocab_size=288, rotary_pct=0.25,
                                          num_hidden_layers=2)),
    "gpt_neox_sequential": dict(family="gpt_neox", seed=32, dtype="F16",
                                after=flat_rotary(0.5, 500, True),
                                config=dict(NEOX, rotary_pct=0.5, rotary_emb_base=500,
                                            use_parallel_residual=False)),
    "gpt_neox_full": dict(family="gpt_neox", seed=33, dtype="BF16", long=(70,), config=dict(
        NEOX, hidden_size=30, num_attention_heads=3, rotary_pct=1.0, attention_bias=False,
        max_position_embeddings=70)),
    "gpt_neox_default": dict(family="gpt_neox", seed=34, after=flat_rotary(None, None, False),
                             config=dict(NEOX, num_attention_heads=4, use_parallel_residual=False,
                                         tie_word_embeddings=True, hidden_act="gelu_new")),
}
ALL_METRICS = ("logit_diff", "candidates", "prob", "logprob", "rank", "kl")


def make(name, spec):
    folder = ROOT / ENGINE / name
    shutil.rmtree(folder, ignore_errors=True)
    em.make_model(folder, spec["family"], spec["config"], spec["seed"], spec.get("dtype", "F32"),
                  spec.get("gain", 1.5), spec.get("outliers", False))
    em.rewrite_config(folder, lambda c: c)
    if "after" in spec:
        spec["after"](folder)
    rng = np.random.default_rng(1000 + spec["seed"])
    n_vocab, n_tokens = spec["config"]["vocab_size"], None
    if spec.get("text"):
        byte_tokenizer(folder)
        n_tokens = 257
        pairs, written = text_pairs(folder, rng, n_vocab)
    else:
        pairs = written = em.standard_pairs(rng, n_vocab, spec.get("long", ()))
    em.write_pairs(folder / "pairs.jsonl", written)
    full = spec.get("full", ())
    em.write_run(folder / "run.yaml", ENGINE / name, ENGINE / name / "pairs.jsonl",
                 ALL_METRICS if full else ("logit_diff",), spec.get("chunk", "auto"))
    results, agreement, single = reference_results(folder, pairs, full, n_tokens)
    effect = largest_effect(results)
    if not 0.3 <= effect <= 30.0:
        raise AssertionError(f"{name}: the largest effect {effect:.3g} is not of order one")
    if not single <= 3e-5:
        raise AssertionError(f"{name}: plain float32 is off by {single:.3g}: the tolerance of 1e-4 "
                             "would leave no room")
    write_expected(folder / "expected.h5", results)
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: largest effect {effect:.3g}, float64 agreement {agreement:.2g}, "
          f"plain float32 off by {single:.2g}, {size} bytes", flush=True)


def main():
    torch.manual_seed(0)
    names = sys.argv[1:] or list(MODELS)
    for name in names:
        make(name, MODELS[name])


if __name__ == "__main__":
    main()
