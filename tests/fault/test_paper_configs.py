#!/usr/bin/env python3
"""The configs of the paper: each is named in the README beside them, and each plan can be made: small on the
bundled model, as configs/paper/bundled.py runs it, and unchanged on random models with the tokenizers of GPT-2
and GPT-NeoX (without PB_TOKENIZERS skipped).

    tests/fault/test_paper_configs.py        PATCHBAY: the binary
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "configs/paper"
os.environ["PATCHBAY"] = os.path.abspath(os.environ.get("PATCHBAY", "build/release/patchbay"))
sys.path.insert(0, str(PAPER))
sys.dont_write_bytecode = True
import bundled  # noqa: E402

CONFIGS = sorted(f.stem for f in PAPER.glob("*.yaml"))
FEWER = ["task.prompts=2", "task.pairs=4"]
# The least models with the heads that are named: L22H20, and a head of layer 14.
SHAPES = {"gpt2": (24, 21, 42), "neox": (15, 2, 16)}
passed = failed = skipped = 0


def check(name, ok, detail=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print(f"FAILED: {name} {detail}", flush=True)


def run(words, folder):
    return subprocess.run([*words, "-q"], cwd=folder, capture_output=True, text=True)


def planned(name, config, settings, folder, model):
    done = run([*bundled.command(config, settings, folder / "never.h5", model), "--dry-run"], ROOT)
    check(name, done.returncode == 0 and not (folder / "never.h5").exists(),
          f"status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def gpt2(n_layers, n_heads, width):
    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_layer": n_layers,
              "n_head": n_heads, "n_embd": width, "vocab_size": 50257, "n_positions": 1024,
              "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
              "bos_token_id": 50256, "eos_token_id": 50256}
    shapes = {"wte.weight": (50257, width), "wpe.weight": (1024, width)}
    for i in range(n_layers):
        for name, shape in {"attn.c_attn": (width, 3 * width), "attn.c_proj": (width, width),
                            "mlp.c_fc": (width, 4 * width), "mlp.c_proj": (4 * width, width)}.items():
            shapes[f"h.{i}.{name}.weight"], shapes[f"h.{i}.{name}.bias"] = shape, shape[1:]
        for name in ("ln_1", "ln_2"):
            shapes[f"h.{i}.{name}.weight"] = shapes[f"h.{i}.{name}.bias"] = (width,)
    shapes["ln_f.weight"] = shapes["ln_f.bias"] = (width,)
    return config, {f"transformer.{name}": shape for name, shape in shapes.items()}


def neox(n_layers, n_heads, width):
    config = {"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox",
              "num_hidden_layers": n_layers, "num_attention_heads": n_heads, "hidden_size": width,
              "intermediate_size": 4 * width, "vocab_size": 50304, "max_position_embeddings": 2048,
              "rotary_pct": 0.25, "rotary_emb_base": 10000, "layer_norm_eps": 1e-5, "hidden_act": "gelu",
              "use_parallel_residual": True, "tie_word_embeddings": False, "bos_token_id": 0,
              "eos_token_id": 0}
    shapes = {"gpt_neox.embed_in.weight": (50304, width), "embed_out.weight": (50304, width)}
    for i in range(n_layers):
        block = f"gpt_neox.layers.{i}."
        for name, shape in {"attention.query_key_value": (3 * width, width),
                            "attention.dense": (width, width),
                            "mlp.dense_h_to_4h": (4 * width, width),
                            "mlp.dense_4h_to_h": (width, 4 * width)}.items():
            shapes[f"{block}{name}.weight"], shapes[f"{block}{name}.bias"] = shape, shape[:1]
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{block}{name}.weight"] = shapes[f"{block}{name}.bias"] = (width,)
    for end in ("weight", "bias"):
        shapes[f"gpt_neox.final_layer_norm.{end}"] = (width,)
    return config, shapes


def make_model(folder, kind, tokenizer):
    """Random float32 weights; what a safetensors file is, written by hand."""
    folder.mkdir()
    shutil.copyfile(tokenizer / "tokenizer.json", folder / "tokenizer.json")
    config, shapes = {"gpt2": gpt2, "neox": neox}[kind](*SHAPES[kind])
    (folder / "config.json").write_text(json.dumps(config))
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(0)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            norm = "ln_" in name or "norm" in name
            values = 0.2 * rng.standard_normal(shape, dtype=np.float32)
            file.write((values + (norm and name.endswith("weight"))).astype("<f4").tobytes())


def described():
    readme = (PAPER / "README.md").read_text()
    for config in CONFIGS:
        text = (PAPER / f"{config}.yaml").read_text()
        verb = "eval" if config.startswith("eval-") else "run"
        check(f"{config}: its command", f"#   patchbay {verb} configs/paper/{config}.yaml" in text)
        check(f"{config}: its output", re.search(rf"^output: {config}\.h5$", text, re.M))
        check(f"{config}: in README.md", f"`{config}`" in readme)


def on_the_bundled_model(folder):
    ranking = folder / "ranking.h5"
    done = run(bundled.command("heads-box", ["task.pairs=4", "readings=none"], ranking), ROOT)
    check("a ranking of the bundled model", done.returncode == 0, done.stderr)
    settings = {**bundled.EVAL, **bundled.RUN, "faithfulness": bundled.faithfulness(ranking),
                "named-gpt2-xl": bundled.named_gpt2_xl("L2H0"),
                "named-pythia-1b": bundled.named_pythia_1b(ranking)}
    check("bundled.py has every config", sorted(settings) == CONFIGS)
    for config in CONFIGS:
        planned(f"{config}, bundled model", config, settings[config], folder, bundled.MODEL)


def on_the_tokenizer(kind, tokenizer, folder):
    """What these configs ask of a model, in its own cells; but fewer prompts and pairs."""
    model = folder / kind
    make_model(model, kind, tokenizer)
    # The files that these configs name by default lie where the command is run.
    name = "heads-box.h5" if kind == "gpt2" else "heads-box-pythia-1b.h5"
    done = run([*bundled.command("heads-box", [*FEWER, "readings=none"], folder / name, model)], folder)
    check(f"heads-box, {kind}", done.returncode == 0, done.stderr)
    for config in CONFIGS:
        if config == {"gpt2": "named-pythia-1b", "neox": "named-gpt2-xl"}[kind]:
            continue
        fewer = [s for s in FEWER if config.startswith("eval-") == s.startswith("task.prompts")]
        if config == "faithfulness":
            fewer += bundled.tops(4, folder / name, "k: 20" if kind == "gpt2" else "k: 10")
        elif config == "named-pythia-1b":
            fewer += bundled.tops(4, folder / name, "layers: [10, 11, 12, 14]")
        planned(f"{config}, {kind}", config, fewer, folder, model)


def main():
    global skipped
    described()
    with tempfile.TemporaryDirectory() as folder:
        on_the_bundled_model(Path(folder))
        for kind in ("gpt2", "neox"):
            tokenizer = Path(os.environ.get("PB_TOKENIZERS", "/nonexistent")) / kind
            if (tokenizer / "tokenizer.json").is_file():
                on_the_tokenizer(kind, tokenizer, Path(folder))
            else:
                skipped += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
