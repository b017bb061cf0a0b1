"""Tiny random models in Hugging Face form and pairs for them, for make_engine.py and
try_random.py."""
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import (GPT2Config, GPT2LMHeadModel, GPTNeoConfig, GPTNeoForCausalLM,
                          GPTNeoXConfig, GPTNeoXForCausalLM)

CLASSES = {"gpt2": (GPT2Config, GPT2LMHeadModel), "gpt_neo": (GPTNeoConfig, GPTNeoForCausalLM),
           "gpt_neox": (GPTNeoXConfig, GPTNeoXForCausalLM)}
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
QUERY_KEY = ("c_attn", "q_proj", "k_proj", "query_key_value")


def randomise(model, gain, rng):
    """Every parameter anew: products that keep the scale of their input (times gain, for the
    attention's input projections), norm weights around one, no bias left at zero."""
    for name, parameter in sorted(model.named_parameters()):
        shape = tuple(parameter.shape)
        values = rng.standard_normal(shape)
        if "ln_" in name or "norm" in name:
            values = 1.0 + 0.3 * values if name.endswith("weight") else 0.2 * values
        elif name.endswith("bias"):
            values *= 0.3
        elif any(word in name for word in ("wte", "wpe", "embed_in")):
            values *= 0.7
        else:  # Conv1D of GPT-2 is stored [in, out], everything else [out, in]
            conv = ".c_" in name and model.config.model_type == "gpt2"
            values *= (shape[0] if conv else shape[1]) ** -0.5
            values *= gain if any(word in name for word in QUERY_KEY) else 1.3
        parameter.data = torch.tensor(values, dtype=torch.float32)
    model.tie_weights()


def add_outliers(model, rng, n_dims=2, factor=20.0):
    """A few dimensions of the residual stream far larger than the others, as in trained models:
    most of their size is the same in every prompt, and the norms scale them down again."""
    width = model.config.hidden_size
    dims = rng.choice(width, n_dims, replace=False)
    for name, parameter in model.named_parameters():
        if name.endswith("wpe.weight"):
            parameter.data[:, dims] += factor
        elif "c_proj.weight" in name:
            parameter.data[:, dims] *= 3.0
        elif "c_proj.bias" in name:
            parameter.data[dims] *= factor
        elif "ln_" in name and name.endswith("weight"):
            parameter.data[dims] *= 0.2


def make_model(folder, family, config, seed, dtype="F32", gain=1.5, outliers=False):
    """Build, randomise and save one model with transformers."""
    config_class, model_class = CLASSES[family]
    rng = np.random.default_rng(seed)
    config = config_class(**config, bos_token_id=0, eos_token_id=0)
    model = model_class(config)
    randomise(model, gain, rng)
    if outliers:
        add_outliers(model, rng)
    Path(folder).mkdir(parents=True, exist_ok=True)
    model.to(DTYPES[dtype]).save_pretrained(folder)
    (Path(folder) / "generation_config.json").unlink(missing_ok=True)
    (Path(folder) / "model.safetensors").chmod(0o644)


def rewrite_config(folder, change):
    """Apply `change` to config.json as a dict and write it back."""
    path = Path(folder) / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def rewrite_tensors(folder, change):
    """Apply `change` to the tensors as a dict (it may return a new one) and save them again."""
    path = Path(folder) / "model.safetensors"
    tensors = load_file(path)
    tensors = change(tensors) or tensors
    save_file({name: t.contiguous() for name, t in tensors.items()}, path, {"format": "pt"})


def make_pair(rng, n_vocab, length, differ, n_candidates=0, **extra):
    """A pair by token ids whose prompts differ exactly at the positions `differ`."""
    clean = rng.integers(n_vocab, size=length)
    corrupted = clean.copy()
    for position in differ:
        corrupted[position] = (clean[position] + rng.integers(1, n_vocab)) % n_vocab
    tokens = [int(t) for t in rng.permutation(n_vocab)[:2 + n_candidates]]
    pair = {"clean": clean.tolist(), "corrupted": corrupted.tolist(),
            "answer": tokens[0], "foil": tokens[1]}
    if n_candidates:
        pair["candidates"] = tokens[2:]
    return {**pair, **extra}


def standard_pairs(rng, n_vocab, long=()):
    """What every model is tried on; `long` gives lengths of further pairs."""
    pairs = [make_pair(rng, n_vocab, 9, [3, 6]),
             make_pair(rng, n_vocab, 9, [8], note="last token only"),
             make_pair(rng, n_vocab, 7, [0], note="first token only"),
             make_pair(rng, n_vocab, 13, [5], n_candidates=2),
             make_pair(rng, n_vocab, 5, [], note="no difference"),
             make_pair(rng, n_vocab, 1, [0], note="one token"),
             make_pair(rng, n_vocab, 6, range(6), n_candidates=3, note="every token"),
             make_pair(rng, n_vocab, 11, [9])]
    for length in long:
        pairs.append(make_pair(rng, n_vocab, length, [int(rng.integers(length // 3)), length - 4]))
    return pairs


def write_pairs(path, pairs):
    Path(path).write_text("".join(json.dumps(p, ensure_ascii=False) + "\n" for p in pairs))


def write_run(path, model, pairs, metrics=("logit_diff",), chunk="auto"):
    """A run of all six z sweeps, for `patchbay run`."""
    rows = [f"  - {{intervention: patch, site: z, direction: {d}, positions: {p}}}\n"
            for d in ("denoise", "noise") for p in ("all", "last", "each")]
    Path(path).write_text(
        f"model: {{path: {model}, bos: auto}}\npairs: {pairs}\nsweep:\n{''.join(rows)}"
        f"metrics: [{', '.join(metrics)}]\n"
        f"engine: {{backend: auto, precision: fp32, chunk: {chunk}}}\n")
