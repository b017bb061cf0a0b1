"""A golden model's folder as a GGUF file, with what converters of llama.cpp do to it: rows of q and k
of Llama interleaved, 1 added to the norms of Gemma, llama3's scaling as divisors of the frequencies.

    python gguf_of_folder.py FOLDER OUT.gguf [TYPE]

TYPE: F32 (default), F16 or BF16 for the matrices. A config that GGUF cannot say (windows of Qwen) is
an error. Needs numpy.
"""
import json
import math
import pickle
import re
import struct
import sys
import zipfile
from collections import OrderedDict

import numpy as np

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TYPES = {"F32": 0, "F16": 1, "BF16": 30}
ALIGNMENT = 32
LAYER = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
FOUR_NORMS = {"post_attention_layernorm": "post_attention_norm",
              "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
MODEL = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


# ---- reading --------------------------------------------------------------------------------

def widened(raw, dtype, shape):
    if dtype == "BF16":
        values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    else:
        values = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[dtype]).astype("<f4")
    return values.reshape(shape)


def read_safetensors(path):
    data = open(path, "rb").read()
    size, = struct.unpack("<Q", data[:8])
    header, data = json.loads(data[8:8 + size]), data[8 + size:]
    header.pop("__metadata__", None)
    return {name: widened(data[slice(*t["data_offsets"])], t["dtype"], t["shape"])
            for name, t in header.items()}


def read_torch(path):
    """A pytorch_model.bin of contiguous tensors."""
    archive = zipfile.ZipFile(path)
    root = archive.namelist()[0].split("/")[0]

    def rebuild(storage, offset, shape, stride, *_):
        dtype, key = storage
        size = 4 if dtype == "F32" else 2
        raw = archive.read(f"{root}/data/{key}")[offset * size:]
        return widened(raw[:math.prod(shape) * size], dtype, shape)

    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            return {"_rebuild_tensor_v2": rebuild, "OrderedDict": OrderedDict,
                    "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16"}[name]

        def persistent_load(self, pid):
            return pid[1], pid[2]
    return Reader(archive.open(f"{root}/data.pkl")).load()


def read_folder(folder):
    config = json.load(open(f"{folder}/config.json"))
    try:
        return config, read_safetensors(f"{folder}/model.safetensors")
    except FileNotFoundError:
        return config, read_torch(f"{folder}/pytorch_model.bin")


# ---- metadata -------------------------------------------------------------------------------

def rope_keys(arch, config, ropes):
    """And the divisors of llama3, or None."""
    dims, keys = config["head_dim"], {}
    rope = ropes.get("full_attention", ropes)
    keys[f"{arch}.rope.freq_base"] = F32, rope["rope_theta"]
    if "sliding_attention" in ropes:
        keys[f"{arch}.rope.freq_base_swa"] = F32, ropes["sliding_attention"]["rope_theta"]
    kind = rope["rope_type"]
    if kind in ("linear", "yarn"):
        keys[f"{arch}.rope.scaling.type"] = STRING, kind
        keys[f"{arch}.rope.scaling.factor"] = F32, rope["factor"]
    if kind == "yarn":
        original = rope["original_max_position_embeddings"]
        keys[f"{arch}.rope.scaling.original_context_length"] = U32, original
        keys[f"{arch}.rope.scaling.yarn_beta_fast"] = F32, rope["beta_fast"]
        keys[f"{arch}.rope.scaling.yarn_beta_slow"] = F32, rope["beta_slow"]
    if kind != "llama3":
        return keys, None
    divisors, low, high = [], rope["low_freq_factor"], rope["high_freq_factor"]
    for i in range(0, dims, 2):
        turns = rope["original_max_position_embeddings"] / (2 * math.pi)
        turns *= rope["rope_theta"] ** (-i / dims)
        share = min(max((turns - low) / (high - low), 0), 1)
        divisors.append(1 / ((1 - share) / rope["factor"] + share))
    return keys, np.array(divisors, "<f4")


def metadata(arch, config):
    heads = config["num_attention_heads"]
    config.setdefault("head_dim", config["hidden_size"] // heads)
    keys = {
        "general.architecture": (STRING, arch), "general.type": (STRING, "model"),
        f"{arch}.block_count": (U32, config["num_hidden_layers"]),
        f"{arch}.context_length": (U32, config["max_position_embeddings"]),
        f"{arch}.embedding_length": (U32, config["hidden_size"]),
        f"{arch}.feed_forward_length": (U32, config["intermediate_size"]),
        f"{arch}.attention.head_count": (U32, heads),
        f"{arch}.attention.head_count_kv": (U32, config["num_key_value_heads"]),
        f"{arch}.attention.key_length": (U32, config["head_dim"]),
        f"{arch}.attention.value_length": (U32, config["head_dim"]),
        f"{arch}.attention.layer_norm_rms_epsilon": (F32, config["rms_norm_eps"]),
        f"{arch}.vocab_size": (U32, config["vocab_size"]),
        f"{arch}.new_key_without_meaning": (U32, 1),
        "tokenizer.ggml.tokens": (ARRAY, (STRING, [f"<{i}>" for i in range(5)])),
    }
    if arch in ("gemma2", "gemma3"):
        windows = [kind == "sliding_attention" for kind in config["layer_types"]]
        keys[f"{arch}.attention.sliding_window"] = U32, config["sliding_window"]
        keys[f"{arch}.attention.sliding_window_pattern"] = ARRAY, (BOOL, windows)
        keys[f"{arch}.attention.scale"] = F32, config["query_pre_attn_scalar"] ** -0.5
        for cap in ("attn_logit_softcapping", "final_logit_softcapping"):
            keys[f"{arch}.{cap}"] = F32, config[cap] or 0.0
    elif config.get("use_sliding_window"):
        sys.exit("windows of this family cannot be said in GGUF")
    rope, divisors = rope_keys(arch, config, config["rope_parameters"])
    return {**keys, **rope}, divisors


# ---- tensors --------------------------------------------------------------------------------

def gguf_name(arch, name):
    base, part = name.rsplit(".", 1)
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", base)
    if not found:
        return f"{MODEL[base]}.{part}"
    names = {**LAYER, **FOUR_NORMS} if arch in ("gemma2", "gemma3") else LAYER
    return f"blk.{found[1]}.{names[found[2]]}.{part}"


def converted(arch, config, name, values):
    if arch == "llama" and re.search(r"\.(q|k)_proj\.", name):
        heads = config["num_attention_heads" if ".q_proj" in name else "num_key_value_heads"]
        rows = values.reshape(heads, 2, len(values) // heads // 2, *values.shape[1:])
        values = rows.swapaxes(1, 2).reshape(values.shape)
    if arch.startswith("gemma") and name.endswith("norm.weight"):
        values = values + np.float32(1)
    return values


def stored(values, kind):
    if kind == "F32":
        return values.astype("<f4").tobytes()
    if kind == "F16":
        return values.astype("<f2").tobytes()
    return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()


# ---- writing --------------------------------------------------------------------------------

def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def scalar(kind, value):
    if kind == STRING:
        return text(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def packed(kind, value):
    if kind != ARRAY:
        return struct.pack("<I", kind) + scalar(kind, value)
    kind, values = value
    return struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(scalar(kind, v) for v in values)


def write(path, keys, tensors):
    """tensors: name to (type, shape, bytes)."""
    head, data = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys)), b""
    head += b"".join(text(key) + packed(*value) for key, value in keys.items())
    for name, (kind, shape, raw) in tensors.items():
        data += b"\0" * (-len(data) % ALIGNMENT)
        head += text(name) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}Q", *reversed(shape))
        head += struct.pack("<IQ", TYPES[kind], len(data))
        data += raw
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % ALIGNMENT) + data)


def main(folder, out, kind="F32"):
    config, weights = read_folder(folder)
    arch = config["model_type"].replace("_text", "")
    keys, divisors = metadata(arch, config)
    tensors = {}
    for name, values in weights.items():
        values = converted(arch, config, name, values)
        of = kind if values.ndim == 2 else "F32"
        tensors[gguf_name(arch, name)] = of, values.shape, stored(values, of)
    if divisors is not None:
        tensors["rope_freqs.weight"] = "F32", divisors.shape, stored(divisors, "F32")
    write(out, keys, tensors)


if __name__ == "__main__":
    main(*sys.argv[1:])
