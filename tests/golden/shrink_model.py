#!/usr/bin/env python3
"""A copy of a GPT-NeoX model with its first layers alone, and noise in its weights: a stand-in for
smaller models and earlier checkpoints of the same tokenizer.

    python3 shrink_model.py MODEL OUT LAYERS [NOISE [SEED]]

NOISE is the standard deviation, in parts of each tensor's own."""
import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np

TYPES = {"F16": np.float16, "F32": np.float32}


def read(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, info in header.items():
        start, end = (8 + size + offset for offset in info["data_offsets"])
        values = np.frombuffer(raw[start:end], TYPES[info["dtype"]]).reshape(info["shape"])
        tensors[name] = (info["dtype"], values)
    return tensors


def write(path, tensors):
    header, data = {}, b""
    for name, (kind, values) in tensors.items():
        raw = values.astype(TYPES[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    model, out, layers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    noise = float(sys.argv[4]) if len(sys.argv) > 4 else 0
    rng = np.random.default_rng(int(sys.argv[5]) if len(sys.argv) > 5 else 0)
    out.mkdir()
    kept = {}
    for name, (kind, values) in read(model / "model.safetensors").items():
        part = name.split(".")
        if part[1] == "layers" and int(part[2]) >= layers:
            continue
        values = values.astype(np.float64)
        kept[name] = (kind, values + noise * values.std() * rng.standard_normal(values.shape))
    write(out / "model.safetensors", kept)
    config = json.loads((model / "config.json").read_text())
    config["num_hidden_layers"] = layers
    (out / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model / name, out / name)


if __name__ == "__main__":
    main()
