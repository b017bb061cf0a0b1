"""GPT-2, GPT-Neo and GPT-NeoX in plain numpy float64, read straight from config.json and
model.safetensors.

The second opinion of the golden scripts: it shares no code with `transformers`, so an upcast that
`transformers` still makes to float32 shows up as a difference between the two.
"""
import json
import math
import struct
from pathlib import Path

import numpy as np


def read_safetensors(path):
    """All tensors of a safetensors file, floating ones widened to float64."""
    raw = Path(path).read_bytes()
    (header_size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + header_size])
    body = raw[8 + header_size:]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        data, shape, dtype = body[begin:end], entry["shape"], entry["dtype"]
        if dtype == "BF16":
            bits = np.frombuffer(data, "<u2").astype(np.uint32) << 16
            array = bits.view(np.float32).astype(np.float64)
        elif dtype in ("F16", "F32", "F64"):
            array = np.frombuffer(data, {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype])
            array = array.astype(np.float64)
        else:
            array = np.frombuffer(data, {"BOOL": "?", "U8": "u1", "I64": "<i8"}[dtype])
        tensors[name] = array.reshape(shape)
    return tensors


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _gelu_tanh(x):
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x ** 3)))


ACTIVATIONS = {
    "gelu": lambda x: 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0))),
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": lambda x: x / (1.0 + np.exp(-x)),
}


def _layer_norm(x, weight, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True)
    return centred / np.sqrt(variance + eps) * weight + bias


class NumpyModel:
    """One folder in Hugging Face form. `inv_freq` is the float32 table of rotary frequencies,
    given by the caller so that both forwards use the same bits (models.md)."""

    def __init__(self, folder, inv_freq=None):
        self.config = json.loads((Path(folder) / "config.json").read_text())
        self.tensors = read_safetensors(Path(folder) / "model.safetensors")
        self.family = self.config["model_type"]
        self.inv_freq = None if inv_freq is None else np.asarray(inv_freq, np.float64)
        getattr(self, "_read_" + self.family)()

    # ---- one reader a family: everything ends up as x @ W with W of shape [in, out] --------------

    def _tensor(self, name):
        """By name, with or without the prefix of the whole model."""
        for prefix in ("", "transformer.", "gpt_neox."):
            if prefix + name in self.tensors:
                return self.tensors[prefix + name]
        return None

    def _read_gpt2(self):
        c, t = self.config, self._tensor
        self.n_layers, self.n_heads, width = c["n_layer"], c["n_head"], c["n_embd"]
        self.eps = c.get("layer_norm_epsilon", 1e-5)
        self.act = ACTIVATIONS[c.get("activation_function", "gelu_new")]
        self.parallel, self.rotary_dims = False, 0
        self.embed, self.pos_embed = t("wte.weight"), t("wpe.weight")
        self.final = (t("ln_f.weight"), t("ln_f.bias"))
        head = t("lm_head.weight")
        tied = c.get("tie_word_embeddings", True)
        self.unembed = (self.embed if tied or head is None else head).T
        self.layers = []
        for i in range(self.n_layers):
            p = f"h.{i}."
            scale = (width // self.n_heads) ** -0.5 if c.get("scale_attn_weights", True) else 1.0
            if c.get("scale_attn_by_inverse_layer_idx", False):
                scale /= i + 1
            w = np.split(t(p + "attn.c_attn.weight"), 3, axis=1)
            b = np.split(t(p + "attn.c_attn.bias"), 3)
            self.layers.append(dict(
                norm1=(t(p + "ln_1.weight"), t(p + "ln_1.bias")),
                norm2=(t(p + "ln_2.weight"), t(p + "ln_2.bias")),
                qkv=list(zip(w, b)), scale=scale, window=0,
                out=(t(p + "attn.c_proj.weight"), t(p + "attn.c_proj.bias")),
                mlp_in=(t(p + "mlp.c_fc.weight"), t(p + "mlp.c_fc.bias")),
                mlp_out=(t(p + "mlp.c_proj.weight"), t(p + "mlp.c_proj.bias"))))

    def _read_gpt_neo(self):
        c, t = self.config, self._tensor
        self.n_layers, self.n_heads = c["num_layers"], c["num_heads"]
        self.eps = c.get("layer_norm_epsilon", 1e-5)
        self.act = ACTIVATIONS[c.get("activation_function", "gelu_new")]
        self.parallel, self.rotary_dims = False, 0
        self.embed, self.pos_embed = t("wte.weight"), t("wpe.weight")
        self.final = (t("ln_f.weight"), t("ln_f.bias"))
        head = t("lm_head.weight")
        tied = c.get("tie_word_embeddings", True)
        self.unembed = (self.embed if tied or head is None else head).T
        kinds = [kind for group, times in c["attention_types"] for _ in range(times)
                 for kind in group]
        self.layers = []
        for i in range(self.n_layers):
            p = f"h.{i}."
            a = p + "attn.attention."
            self.layers.append(dict(
                norm1=(t(p + "ln_1.weight"), t(p + "ln_1.bias")),
                norm2=(t(p + "ln_2.weight"), t(p + "ln_2.bias")),
                qkv=[(t(a + s + "_proj.weight").T, 0.0) for s in "qkv"], scale=1.0,
                window=c.get("window_size", 256) if kinds[i] == "local" else 0,
                out=(t(a + "out_proj.weight").T, t(a + "out_proj.bias")),
                mlp_in=(t(p + "mlp.c_fc.weight").T, t(p + "mlp.c_fc.bias")),
                mlp_out=(t(p + "mlp.c_proj.weight").T, t(p + "mlp.c_proj.bias"))))

    def _read_gpt_neox(self):
        c, t = self.config, self._tensor
        self.n_layers, self.n_heads = c["num_hidden_layers"], c["num_attention_heads"]
        width = c["hidden_size"]
        head_width = width // self.n_heads
        self.eps = c.get("layer_norm_eps", 1e-5)
        self.act = ACTIVATIONS[c.get("hidden_act", "gelu")]
        self.parallel = c.get("use_parallel_residual", True)
        rope = c.get("rope_parameters") or {}
        part = rope.get("partial_rotary_factor", c.get("rotary_pct", 0.25))
        self.rotary_dims = int(head_width * part)
        self.embed, self.pos_embed = t("embed_in.weight"), None
        self.final = (t("final_layer_norm.weight"), t("final_layer_norm.bias"))
        head = t("embed_out.weight")
        self.unembed = (self.embed if c.get("tie_word_embeddings", False) else head).T
        self.layers = []
        for i in range(self.n_layers):
            p = f"layers.{i}."
            qkv = t(p + "attention.query_key_value.weight")
            qkv = qkv.reshape(self.n_heads, 3, head_width, width)
            bias = t(p + "attention.query_key_value.bias")
            dense_bias = t(p + "attention.dense.bias")
            if not c.get("attention_bias", True):
                bias, dense_bias = None, 0.0
            bias = np.zeros((self.n_heads, 3, head_width)) if bias is None \
                else bias.reshape(self.n_heads, 3, head_width)
            self.layers.append(dict(
                norm1=(t(p + "input_layernorm.weight"), t(p + "input_layernorm.bias")),
                norm2=(t(p + "post_attention_layernorm.weight"),
                       t(p + "post_attention_layernorm.bias")),
                qkv=[(qkv[:, k].reshape(width, width).T, bias[:, k].reshape(width))
                     for k in range(3)],
                scale=head_width ** -0.5, window=0,
                out=(t(p + "attention.dense.weight").T, dense_bias),
                mlp_in=(t(p + "mlp.dense_h_to_4h.weight").T, t(p + "mlp.dense_h_to_4h.bias")),
                mlp_out=(t(p + "mlp.dense_4h_to_h.weight").T, t(p + "mlp.dense_4h_to_h.bias"))))

    # ---- the forward pass ----------------------------------------------------------------------

    def _rotate(self, x):
        """x [T, H, K]: rotary on the first rotary_dims, pairs (i, i + rotary_dims / 2)."""
        r = self.rotary_dims
        if r == 0:
            return x
        angle = np.arange(len(x))[:, None] * self.inv_freq
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        a, b = x[..., :r // 2], x[..., r // 2:r]
        return np.concatenate((a * cos - b * sin, b * cos + a * sin, x[..., r:]), -1)

    def _attention(self, layer, x):
        """z [T, H, K] of one layer from its normed input."""
        n = len(x)
        q, k, v = ((x @ w + b).reshape(n, self.n_heads, -1) for w, b in layer["qkv"])
        scores = np.einsum("ihk,jhk->hij", self._rotate(q), self._rotate(k)) * layer["scale"]
        i, j = np.arange(n)[:, None], np.arange(n)[None]
        visible = j <= i
        if layer["window"]:
            visible &= j > i - layer["window"]
        scores = np.where(visible, scores, -np.inf)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        return np.einsum("hij,jhk->ihk", scores / scores.sum(-1, keepdims=True), v)

    def forward(self, ids, patch=None):
        """(logits at the last position [V], z [L, T, H, K]). patch: (layer, head, positions,
        values [positions, K]) replaces the head's z there before the rest is computed."""
        ids = np.asarray(ids)
        x = self.embed[ids]
        if self.pos_embed is not None:
            x = x + self.pos_embed[:len(ids)]
        zs = []
        for index, layer in enumerate(self.layers):
            z = self._attention(layer, _layer_norm(x, *layer["norm1"], self.eps))
            if patch is not None and patch[0] == index:
                z = z.copy()
                z[patch[2], patch[1]] = patch[3]
            zs.append(z)
            attn = z.reshape(len(ids), -1) @ layer["out"][0] + layer["out"][1]
            mid = x if self.parallel else x + attn
            h = self.act(_layer_norm(mid, *layer["norm2"], self.eps) @ layer["mlp_in"][0]
                         + layer["mlp_in"][1])
            x = x + attn + (h @ layer["mlp_out"][0] + layer["mlp_out"][1])
        return _layer_norm(x[-1], *self.final, self.eps) @ self.unembed, np.stack(zs)
