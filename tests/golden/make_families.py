"""Make the goldens of the families: a tiny random model each, every unusual flag on, and float64
results of z, q, k and v sweeps from `transformers`.

    python tests/golden/make_families.py [MODEL...]   (needs torch, transformers, safetensors, h5py)

Writes tests/golden/families/<model>/{config.json, model.safetensors, pairs.jsonl, run.yaml,
expected.h5}. expected.h5: {clean,corrupted} [pair] and {z,q,k,v} [pair, layer, index], the logit
difference of each variant (denoise, positions all); index is the head, for k and v the KV head.

`transformers` drops to float32 in norms, softmax and rotary tables: while a float64 model runs,
torch.float32 and Tensor.float mean float64 (inv_freq itself stays float32).
"""
import contextlib
import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, logging

import engine_models as em
from engine_reference import _TorchInDouble, load, write_expected

logging.set_verbosity_error()
ROOT = Path(__file__).resolve().parents[2]
FAMILIES = Path("tests/golden/families")
SITES = ("z", "q", "k", "v")

LLAMA = dict(hidden_size=24, intermediate_size=32, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, vocab_size=48, max_position_embeddings=64)
SHORT = dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0,
             high_freq_factor=4.0, original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", rope_theta=300.0, factor=4.0, original_max_position_embeddings=16,
            beta_fast=4.0, beta_slow=1.0)


def rope(kind="default", theta=1000.0, **more):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **more))


MODELS = {
    "llama_biases": ("llama", "BF16", dict(LLAMA, head_dim=10, attention_bias=True, mlp_bias=True,
                                           **rope(theta=700.0))),
    "llama_llama3": ("llama", "BF16", dict(LLAMA, tie_word_embeddings=True, rope_parameters=SHORT,
                                           rms_norm_eps=1e-3)),
    "llama_linear": ("llama", "F16", dict(LLAMA, num_key_value_heads=4, **rope("linear", factor=3.0))),
    "llama_dynamic": ("llama", "BF16", dict(LLAMA, num_key_value_heads=1, hidden_act="gelu",
                                            **rope("dynamic", factor=2.0))),
    "llama_yarn": ("llama", "BF16", dict(LLAMA, head_dim=16, rope_parameters=YARN)),
    "mistral": ("mistral", "BF16", dict(LLAMA, head_dim=8, sliding_window=4, **rope())),
    "qwen2": ("qwen2", "BF16", dict(LLAMA, use_sliding_window=True, sliding_window=5,
                                    max_window_layers=1, tie_word_embeddings=True, **rope())),
    "qwen3": ("qwen3", "BF16", dict(LLAMA, head_dim=10, attention_bias=True, sliding_window=3,
                                    use_sliding_window=True, layer_types=[
                                        "sliding_attention", "full_attention",
                                        "sliding_attention"], **rope())),
    "gemma": ("gemma", "BF16", dict(LLAMA, head_dim=8, num_key_value_heads=1, **rope())),
    "gemma2": ("gemma2", "BF16", dict(LLAMA, head_dim=8, query_pre_attn_scalar=13,
                                      attn_logit_softcapping=1.5, final_logit_softcapping=4.0,
                                      sliding_window=4, attention_bias=True, **rope())),
    "gemma3_text": ("gemma3_text", "BF16", dict(
        LLAMA, head_dim=8, query_pre_attn_scalar=11, sliding_window=4,
        final_logit_softcapping=5.0, layer_types=["sliding_attention", "full_attention",
                                                  "sliding_attention"],
        rope_parameters=dict(sliding_attention=dict(rope_type="default", rope_theta=100.0),
                             full_attention=dict(rope_type="linear", rope_theta=2000.0,
                                                 factor=2.0)))),
    "phi": ("phi", "BF16", dict(LLAMA, hidden_act="gelu_new", **rope(partial_rotary_factor=0.7))),
    "phi_norms": ("phi", "BF16", dict(LLAMA, num_key_value_heads=4, qk_layernorm=True,
                                      **rope(partial_rotary_factor=0.7))),
    "phi3": ("phi3", "BF16", dict(LLAMA, sliding_window=6, pad_token_id=0, head_dim=6,
                                  **rope(partial_rotary_factor=0.7))),
    "phi3_longrope": ("phi3", "BF16", dict(
        LLAMA, pad_token_id=0, original_max_position_embeddings=10, hidden_size=32,
        rope_parameters=dict(rope_type="longrope", rope_theta=1000.0,
                             short_factor=[1.0, 1.1, 1.3, 1.6], long_factor=[1.5, 2.5, 4.0, 6.0],
                             original_max_position_embeddings=10))),
    "olmo": ("olmo", "BF16", dict(LLAMA, attention_bias=True, pad_token_id=0, **rope())),
    "olmo2": ("olmo2", "BF16", dict(LLAMA, attention_bias=True, pad_token_id=0, **rope())),
    "stablelm": ("stablelm", "BF16", dict(LLAMA, hidden_size=32, use_qkv_bias=True,
                                          **rope(partial_rotary_factor=0.5))),
    "stablelm_parallel": ("stablelm", "BF16", dict(LLAMA, use_parallel_residual=True,
                                                   **rope(partial_rotary_factor=0.7))),
    "gptj": ("gptj", "BF16", dict(n_embd=24, n_head=3, n_layer=3, n_inner=40, vocab_size=48,
                                  n_positions=64, rotary_dim=4)),
    "smollm3": ("smollm3", "BF16", dict(LLAMA, no_rope_layers=[1, 0, 1], attention_bias=True,
                                        mlp_bias=True, pad_token_id=0, use_sliding_window=True,
                                        sliding_window=5, layer_types=[
                                            "full_attention", "sliding_attention",
                                            "full_attention"], **rope())),
}


# How the weights are stored, where not as one model.safetensors.
FORMS = {"mistral": "shards", "qwen3": "bin", "gptj": "bin shards"}


def split(names):
    """The names in two halves."""
    names = sorted(names)
    return names[:len(names) // 2], names[len(names) // 2:]


def store_as(folder, form):
    """Write model.safetensors in another form."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    base, end, save = ("pytorch_model", ".bin", torch.save) if form.startswith("bin") else \
        ("model", ".safetensors", lambda t, path: save_file(t, path, {"format": "pt"}))
    if "shards" not in form:
        save(tensors, folder / (base + end))
        return
    names = {}
    for i, half in enumerate(split(tensors)):
        name = f"{base}-{i + 1:05}-of-00002{end}"
        save({n: tensors[n] for n in half}, folder / name)
        names.update({n: name for n in half})
    (folder / f"{base}{end}.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": names}, indent=1) + "\n")


def randomise(model, rng):
    """Every parameter anew: products that keep the scale of their input, norm weights around one
    (around zero where 1 is added), no bias left at zero."""
    gemma = model.config.model_type.startswith("gemma")
    for name, parameter in sorted(model.named_parameters()):
        shape = tuple(parameter.shape)
        values = rng.standard_normal(shape)
        if "norm" in name or "ln_" in name:
            centre = 0.0 if gemma else 1.0
            values = centre + 0.3 * values if name.endswith("weight") else 0.2 * values
        elif name.endswith("bias"):
            values *= 0.3
        elif "embed" in name or "wte" in name:
            values *= 0.7 / (shape[1] ** 0.5 if gemma else 1.0)
        else:
            values *= 1.4 * shape[1] ** -0.5
        parameter.data = torch.tensor(values, dtype=torch.float32)
    model.tie_weights()


@contextlib.contextmanager
def in_double(model):
    """While a float64 model runs, nothing drops to float32."""
    module, to_float = sys.modules[type(model).__module__], torch.Tensor.float
    module.torch = _TorchInDouble()
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        module.torch, torch.Tensor.float = torch, to_float


class Hooked:
    """z, q, k and v of a model, read and replaced by hooks on its projections."""

    def __init__(self, model):
        self.model, c = model, model.config
        self.H, self.L = c.num_attention_heads, c.num_hidden_layers
        self.KV = getattr(c, "num_key_value_heads", None) or self.H
        body = model.transformer.h if c.model_type == "gptj" else model.model.layers
        self.attn = [b.attn if c.model_type == "gptj" else b.self_attn for b in body]

    def count(self, site):
        return self.KV if site in "kv" else self.H

    def place(self, site, layer):
        """(module, whether its input counts, first column, end of the site's columns)"""
        attn = self.attn[layer]
        if site == "z":
            for name in ("o_proj", "dense", "out_proj"):
                if hasattr(attn, name):
                    return getattr(attn, name), True, 0, None
        if hasattr(attn, "qkv_proj"):
            total = self.H + 2 * self.KV
            width = attn.qkv_proj.out_features // total
            first = {"q": 0, "k": self.H, "v": self.H + self.KV}[site] * width
            return attn.qkv_proj, False, first, first + self.count(site) * width
        return getattr(attn, site + "_proj"), False, 0, None

    @torch.no_grad()
    def run(self, ids, change=None, capture=None):
        """Last logits [N, V]. change: (site, layer, function of the site's [N, T, n, K]);
        capture: a dict that gets every site's values."""
        handles = []

        def hook(site, layer, function):
            module, before, first, end = self.place(site, layer)

            def edit(x):
                x = x.clone()
                part = x[..., first:end]
                x[..., first:end] = function(
                    part.reshape(*part.shape[:2], self.count(site), -1)).reshape(part.shape)
                return x
            handles.append(
                module.register_forward_pre_hook(lambda m, args: (edit(args[0]), *args[1:]))
                if before else module.register_forward_hook(lambda m, args, out: edit(out)))

        def keep(site, layer, value):
            capture[site, layer] = value.clone()
            return value

        if change:
            hook(*change)
        if capture is not None:
            for site in SITES:
                for layer in range(self.L):
                    hook(site, layer, lambda v, s=site, l=layer: keep(s, l, v))
        try:
            return self.model(input_ids=ids, use_cache=False).logits[:, -1]
        finally:
            for handle in handles:
                handle.remove()


def sweep(hooked, pairs, batch=64):
    """{"clean", "corrupted": [pair], site: [pair, layer, index]}: logit differences."""
    out = {side: np.full(len(pairs), np.nan) for side in ("clean", "corrupted")}
    for site in SITES:
        out[site] = np.full((len(pairs), hooked.L, hooked.count(site)), np.nan)
    for p, pair in enumerate(pairs):
        ids = {side: torch.tensor([pair[side]]) for side in ("clean", "corrupted")}
        donor = {}
        for side in ids:
            logits = hooked.run(ids[side], capture=donor if side == "clean" else None)[0]
            out[side][p] = (logits[pair["answer"]] - logits[pair["foil"]]).item()
        for site in SITES:
            n = hooked.count(site)
            mine = torch.eye(n, dtype=torch.bool)[:, None, :, None]
            for layer in range(hooked.L):
                logits = hooked.run(ids["corrupted"].expand(n, -1), change=(
                    site, layer, lambda own: torch.where(mine, donor[site, layer], own)))
                out[site][p, layer] = (logits[:, pair["answer"]] - logits[:, pair["foil"]]).numpy()
    return out


def make_model(folder, family, dtype, config, seed):
    rng = np.random.default_rng(seed)
    config = AutoConfig.for_model(family, **config, bos_token_id=0, eos_token_id=0,
                                  attn_implementation="eager")
    model = AutoModelForCausalLM.from_config(config)
    randomise(model, rng)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.to(em.DTYPES[dtype]).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "model.safetensors").chmod(0o644)
    em.rewrite_config(folder, lambda c: c)
    if folder.name in FORMS:
        store_as(folder, FORMS[folder.name])


def reference(folder, pairs):
    model = load(folder)
    with in_double(model):
        return sweep(Hooked(model), pairs)


def write_run(folder, name):
    rows = "".join(f"  - {{intervention: patch, site: {s}, direction: denoise, positions: all}}\n"
                   for s in SITES)
    (folder / "run.yaml").write_text(f"model: {{path: {name}, bos: auto}}\n"
                                     f"pairs: {name}/pairs.jsonl\nsweep:\n{rows}")


def make(name):
    family, dtype, config = MODELS[name]
    folder = ROOT / FAMILIES / name
    seed = 500 + sorted(MODELS).index(name)
    make_model(folder, family, dtype, config, seed)
    rng = np.random.default_rng(1000 + seed)
    pairs = em.standard_pairs(rng, config["vocab_size"])[:4] + [
        em.make_pair(rng, config["vocab_size"], 20, [4, 11])]
    em.write_pairs(folder / "pairs.jsonl", pairs)
    write_run(folder, FAMILIES / name)
    results = reference(folder, pairs)
    write_expected(folder / "expected.h5", results)
    size = sum(f.stat().st_size for f in folder.iterdir())
    effect = max(np.abs(results[s] - results["corrupted"][:, None, None]).max() for s in SITES)
    print(f"{name}: largest effect {effect:.3g}, {size} bytes", flush=True)


if __name__ == "__main__":
    for model_name in sys.argv[1:] or MODELS:
        make(model_name)
