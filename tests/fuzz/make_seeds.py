#!/usr/bin/env python3
"""Make the seeds of the fuzz targets: small valid files of every kind that they read.

    build/peers/bin/python tests/fuzz/make_seeds.py

writes tests/fuzz/tiny, the Llama of one layer that stands beside a fuzzed file, and
tests/fuzz/seeds/<target>/. Needs `torch` (for its pickles), `safetensors`, `tokenizers` and `numpy`; the same
bytes come out on every run with one version of them.
"""
import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
sys.path.insert(0, str(GOLDEN))
import gguf_of_folder
import make_family_tokenizers as families

SEEDS = HERE / "seeds"
TINY = HERE / "tiny"
CONFIG = {
    "model_type": "llama", "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 2, "hidden_act": "silu",
    "max_position_embeddings": 16, "rms_norm_eps": 1e-6, "vocab_size": 5,
    "tie_word_embeddings": False, "torch_dtype": "float32",
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}
SHAPES = {
    "model.embed_tokens.weight": (5, 4), "lm_head.weight": (5, 4), "model.norm.weight": (4,),
    "model.layers.0.input_layernorm.weight": (4,),
    "model.layers.0.post_attention_layernorm.weight": (4,),
    "model.layers.0.self_attn.q_proj.weight": (4, 4),
    "model.layers.0.self_attn.k_proj.weight": (2, 4),
    "model.layers.0.self_attn.v_proj.weight": (2, 4),
    "model.layers.0.self_attn.o_proj.weight": (4, 4),
    "model.layers.0.mlp.gate_proj.weight": (6, 4), "model.layers.0.mlp.up_proj.weight": (6, 4),
    "model.layers.0.mlp.down_proj.weight": (4, 6),
}


def weights(dtype="<f4"):
    rng = np.random.default_rng(1)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}


def folder(target):
    path = SEEDS / target
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def save_config(path, config):
    path.write_text(json.dumps(config, separators=(",", ":")))


def models():
    shutil.rmtree(TINY, ignore_errors=True)
    TINY.mkdir()
    save_config(TINY / "config.json", CONFIG)
    save_file(weights(), TINY / "model.safetensors")
    shutil.copy(TINY / "model.safetensors", TINY / "model-00001-of-00001.safetensors")
    out = folder("safetensors")
    save_file(weights(), out / "f32", metadata={"format": "pt"})
    save_file(weights("<f2"), out / "f16")
    index = {"metadata": {"total_size": 0},
             "weight_map": {name: "model-00001-of-00001.safetensors" for name in SHAPES}}
    (folder("index") / "one").write_text(json.dumps(index))


def pickles():
    torch_seeds, pickle_seeds = folder("torch"), folder("pickle")
    tensors = {name: torch.from_numpy(values) for name, values in weights().items()}
    tied = {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"]}
    halves = {name: torch.nn.Parameter(values.bfloat16()) for name, values in tensors.items()}
    views = dict(zip(tensors, torch.arange(100.0).half().split(5)))
    for name, state in (("f32", tensors), ("tied", tied), ("bf16", halves), ("views", views)):
        path = torch_seeds / name
        torch.save(state, path)
        with zipfile.ZipFile(path) as archive:
            pickled = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            (pickle_seeds / name).write_bytes(archive.read(pickled))


def configs():
    out = folder("config")
    shutil.copy(TINY / "config.json", out / "tiny")
    for family in sorted((GOLDEN / "families").iterdir()):
        config = json.loads((family / "config.json").read_text())
        save_config(out / family.name, config)


# Elements and bytes of a block.
BLOCKS = {"Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34),
          "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210)}
NUMBERS = {"Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14}


def quantised(path, kind):
    """A Llama of one layer whose matrices with rows of whole blocks are of a quantised type."""
    n, size = BLOCKS[kind]
    gguf_of_folder.TYPES[kind] = NUMBERS[kind]
    config = {**CONFIG, "hidden_size": n, "intermediate_size": 2}
    keys, _ = gguf_of_folder.metadata("llama", config)
    tensors = {}
    for name, shape in SHAPES.items():
        shape = tuple({4: n, 6: 2}.get(d, d) if i else d for i, d in enumerate(shape))
        shape = {"model.layers.0.self_attn.o_proj.weight": (n, 4),
                 "model.layers.0.mlp.gate_proj.weight": (2, n),
                 "model.layers.0.mlp.up_proj.weight": (2, n),
                 "model.layers.0.mlp.down_proj.weight": (n, 2)}.get(name, shape)
        if len(shape) == 1:
            shape = (n,)
        blocks = len(shape) == 2 and shape[1] == n
        raw = bytes(int(np.prod(shape)) // n * size if blocks else 4 * int(np.prod(shape)))
        tensors[gguf_of_folder.gguf_name("llama", name)] = kind if blocks else "F32", shape, raw
    gguf_of_folder.write(path, keys, tensors)


def ggufs():
    out = folder("gguf")
    for kind in ("F32", "F16"):
        gguf_of_folder.main(TINY, out / kind.lower(), kind)
    for kind in ("Q4_1", "Q8_0", "Q5_K"):
        quantised(out / kind.lower(), kind)


def tokenizers():
    out = folder("tokenizer")
    families.N_TOKENS = 300
    written = {}
    with tempfile.TemporaryDirectory() as work:
        families.OUT = Path(work)
        for make in (families.llama3, families.qwen2, families.behaviors, families.llama2,
                     families.metaspace, families.gemma, families.smollm):
            (families.OUT / make.__name__).mkdir()
            data = written[make.__name__] = json.loads(make().to_str())
            text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
            (out / make.__name__).write_text(text)
        families.write_ggufs(written)
        for vocab in families.OUT.glob("*/vocab.gguf"):
            shutil.copy(vocab, SEEDS / "gguf" / f"vocab_{vocab.parent.name}")


if __name__ == "__main__":
    models()
    pickles()
    configs()
    ggufs()
    tokenizers()
