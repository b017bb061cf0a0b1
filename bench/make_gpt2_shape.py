"""Make the model and pairs of the peer benchmark: make_gpt2_shape.py FOLDER [small|xl]

GPT-2 small's shape (12 layers, 12 heads, width 768, 50,257 tokens) or XL's with random weights from
a fixed seed, float32, in Hugging Face form, and 8 pairs of 48 tokens by token ids that differ at
token 24 alone. Trained-looking in one respect: attention is sharp and effects reach across layers, so that
the agreement of the effects means something. FOLDER/gpt2_shape.json says what was made; an
unfinished or different folder is made again.
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

SEED = 20240
SHAPES = {"small": (12, 12, 768), "xl": (48, 25, 1600)}
SHAPE = sys.argv[2] if len(sys.argv) > 2 else "small"
if len(sys.argv) not in (2, 3) or SHAPE not in SHAPES:
    sys.exit("usage: make_gpt2_shape.py FOLDER [small|xl]")
N_LAYERS, N_HEADS, WIDTH = SHAPES[SHAPE]
VOCABULARY, CONTEXT = 50257, 1024
N_PAIRS, LENGTH, DIFFERENCE = 8, 48, 24
CONFIG = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_layer": N_LAYERS,
          "n_head": N_HEADS, "n_embd": WIDTH, "n_inner": None, "vocab_size": VOCABULARY,
          "n_positions": CONTEXT, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
          "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "bos_token_id": 50256,
          "eos_token_id": 50256, "tie_word_embeddings": True}
# Standard deviations; GPT-2 starts from 0.02 everywhere, which would leave attention uniform. What
# is multiplied by a wider row is made smaller, so that shapes are alike.
STD = {"wte": 0.05, "wpe": 0.02, "attn.c_attn": 0.06, "attn.c_proj": 0.05, "mlp.c_fc": 0.05,
       "mlp.c_proj": 0.03}
if SHAPE != "small":
    STD.update({name: std * (768 / WIDTH) ** 0.5 for name, std in STD.items() if "." in name})
MADE = {"seed": SEED, "std": STD, "pairs": [N_PAIRS, LENGTH, DIFFERENCE], "version": 2,
        **({} if SHAPE == "small" else {"shape": SHAPE})}


def tensors():
    generator = torch.Generator().manual_seed(SEED)

    def normal(std, *shape):
        return torch.randn(*shape, generator=generator) * std

    out = {"wte.weight": normal(STD["wte"], VOCABULARY, WIDTH),
           "wpe.weight": normal(STD["wpe"], CONTEXT, WIDTH)}
    shapes = {"attn.c_attn": (WIDTH, 3 * WIDTH), "attn.c_proj": (WIDTH, WIDTH),
              "mlp.c_fc": (WIDTH, 4 * WIDTH), "mlp.c_proj": (4 * WIDTH, WIDTH)}
    norms = ["ln_f"]
    for i in range(N_LAYERS):
        for name, shape in shapes.items():
            out[f"h.{i}.{name}.weight"] = normal(STD[name], *shape)
            out[f"h.{i}.{name}.bias"] = normal(0.05, shape[1])
        norms += [f"h.{i}.ln_1", f"h.{i}.ln_2"]
    for norm in norms:
        out[norm + ".weight"] = 1.0 + normal(0.1, WIDTH)
        out[norm + ".bias"] = normal(0.05, WIDTH)
    return {"transformer." + name: tensor for name, tensor in out.items()}


def pairs():
    rng = np.random.default_rng(SEED)
    for _ in range(N_PAIRS):
        clean = rng.integers(VOCABULARY, size=LENGTH)
        corrupted = clean.copy()
        corrupted[DIFFERENCE] = (clean[DIFFERENCE] + rng.integers(1, VOCABULARY)) % VOCABULARY
        answer, foil = rng.choice(VOCABULARY, 2, replace=False)
        yield {"clean": clean.tolist(), "corrupted": corrupted.tolist(),
               "answer": int(answer), "foil": int(foil)}


def main():
    folder = Path(sys.argv[1])
    stamp = folder / "gpt2_shape.json"
    if stamp.exists() and json.loads(stamp.read_text()) == MADE:
        return
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    save_file(tensors(), folder / "model.safetensors", {"format": "pt"})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs()))
    for positions in ("all", "last", "each"):
        (folder / f"{positions}.yaml").write_text(
            f"model: {{path: {folder}, bos: auto}}\npairs: {folder}/pairs.jsonl\nsweep:\n"
            f"  - {{intervention: patch, site: z, direction: denoise, positions: {positions}}}\n"
            "metrics: [logit_diff]\nreadings: none\n"
            "engine: {backend: cpu, precision: fp32, chunk: auto}\n")
    stamp.write_text(json.dumps(MADE) + "\n")


if __name__ == "__main__":
    main()
