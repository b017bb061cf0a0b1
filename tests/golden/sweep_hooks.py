"""Every site of GPT-2, GPT-Neo and GPT-NeoX, read and edited in a float64 run of `transformers`.

A site's value has one layout everywhere: [position, index, width], index being the head, or 1 where
a site has none; for `pattern` position is the query and width the key. Where `transformers` has a
module, a hook sits on it; pattern, q_rot and k_rot have none, so there the modelling module's own
attention function is wrapped. No arithmetic is written anew except (pattern) @ v, and
own + (new - own) for resid_mid.
"""
import contextlib
from typing import Callable, NamedTuple

import numpy as np
import torch
import transformers.models.gpt2.modeling_gpt2 as modeling_gpt2
import transformers.models.gpt_neox.modeling_gpt_neox as modeling_gpt_neox

from engine_reference import float64_transformers

SITES = ("embed", "resid_pre", "q", "k", "v", "q_rot", "k_rot", "pattern", "z", "attn_out",
         "resid_mid", "mlp_pre", "mlp_post", "mlp_out", "resid_post")
HEAD_SITES = ("q", "k", "v", "q_rot", "k_rot", "pattern", "z")


class Injection(NamedTuple):
    """What one variant does at one place: where `mask` (broadcast to [T, index, width]) is true
    the variant's own value becomes new(own). Arrays are numpy's."""
    site: str
    layer: int  # 0 for embed
    mask: np.ndarray
    new: Callable[[np.ndarray], np.ndarray]


def edited(own, injections):
    """The value after the injections of one variant at this place; `own` is left alone."""
    for injection in injections:
        own = np.where(injection.mask, injection.new(own), own)
    return own


class _Blocks:
    """Where the three families keep what has a hook."""

    def __init__(self, model):
        kind = model.config.model_type
        self.kind = kind
        if kind == "gpt_neox":
            body = model.gpt_neox
            self.embed, self.blocks = body.embed_in, body.layers
            self.attn = [b.attention for b in body.layers]
            self.attn_out = [a.dense for a in self.attn]
            self.mlp_in = [b.mlp.dense_h_to_4h for b in body.layers]
            self.mlp_out = [b.mlp.dense_4h_to_h for b in body.layers]
        else:
            body = model.transformer
            self.embed, self.blocks = body.wte, body.h
            self.attn = [b.attn if kind == "gpt2" else b.attn.attention for b in body.h]
            self.attn_out = [a.c_proj if kind == "gpt2" else a.out_proj for a in self.attn]
            self.mlp_in = [b.mlp.c_fc for b in body.h]
            self.mlp_out = [b.mlp.c_proj for b in body.h]
        self.parallel = kind == "gpt_neox" and model.config.use_parallel_residual


class HookedModel:
    """Runs variants of prompts. Of a model loaded by engine_reference.load(folder); loaded in
    float32 it is what a plain float32 program computes."""

    def __init__(self, model):
        self.model, self.at = model, _Blocks(model)
        config = model.config
        self.n_layers, self.n_heads = config.num_hidden_layers, config.num_attention_heads
        self.n_kv_heads, self.width = self.n_heads, config.hidden_size
        self.d_mlp = self.at.mlp_out[0].weight.numel() // self.width
        self.parallel = self.at.parallel
        for attn in self.at.attn:
            if self.at.kind == "gpt2":
                attn.reorder_and_upcast_attn = False  # the same formula, written in float32

    def sites(self):
        return [s for s in SITES if not (s == "resid_mid" and self.parallel)]

    # ---- one run ---------------------------------------------------------------------------------

    @torch.no_grad()
    def run(self, ids, variants, capture=()):
        """The last position's logits [N, V] of N variants (lists of injections) of one prompt, and
        {(site, layer): [N, T, index, width]} for each of `capture`, as the variants have it."""
        self._injections, self._capture, self._captured = {}, set(capture), {}
        for n, variant in enumerate(variants):
            for injection in variant:
                place = self._injections.setdefault((injection.site, injection.layer), {})
                place.setdefault(n, []).append(injection)
        self._residual = None
        double = self.model.dtype == torch.float64
        with float64_transformers() if double else contextlib.nullcontext(), self._hooks():
            ids = torch.tensor([list(ids)]).expand(len(variants), -1)
            logits = self.model(input_ids=ids, use_cache=False).logits[:, -1]
        unused = set(self._injections) - self._seen
        assert not unused, f"no such place in this model: {unused}"
        return logits.numpy(), self._captured

    def _visit(self, site, layer, value):
        """value [N, T, index, width] of a place, after injections."""
        self._seen.add((site, layer))
        here = self._injections.get((site, layer))
        if here:
            value = value.clone()
            for n, injections in here.items():
                value[n] = torch.from_numpy(edited(value[n].numpy().copy(), injections))
        if (site, layer) in self._capture:
            self._captured[site, layer] = value.numpy().copy()
        return value

    def _flat(self, site, layer, value):
        """The same for a value [N, T, width] without heads."""
        return self._visit(site, layer, value[:, :, None])[:, :, 0]

    def _heads(self, site, layer, value):
        """The same for heads side by side, [N, T, H * K]."""
        split = value.reshape(*value.shape[:2], self.n_heads, -1)
        return self._visit(site, layer, split).reshape(value.shape)

    # ---- hooks -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _hooks(self):
        self._seen, handles, at = set(), [], self.at

        def before(module, function):
            handles.append(module.register_forward_pre_hook(
                lambda m, args, kwargs: self._before(function, args, kwargs), with_kwargs=True))

        def after(module, function):
            handles.append(module.register_forward_hook(lambda m, args, out: function(out)))

        after(at.embed, lambda out: self._flat("embed", 0, out))
        for i in range(self.n_layers):
            before(at.blocks[i], lambda x, i=i: self._block_in(i, x))
            self._hook_qkv(after, i)
            before(at.attn_out[i], lambda x, i=i: self._heads("z", i, x))
            after(at.attn_out[i], lambda out, i=i: self._attn_out(i, out))
            after(at.mlp_in[i], lambda out, i=i: self._flat("mlp_pre", i, out))
            before(at.mlp_out[i], lambda x, i=i: self._flat("mlp_post", i, x))
            after(at.mlp_out[i], lambda out, i=i: self._flat("mlp_out", i, out))
            after(at.blocks[i], lambda out, i=i: self._block_out(i, out))
        try:
            with self._attention_functions():
                yield
        finally:
            for handle in handles:
                handle.remove()

    @staticmethod
    def _before(function, args, kwargs):
        if args:
            return (function(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": function(kwargs["hidden_states"])}

    def _hook_qkv(self, after, i):
        attn = self.at.attn[i]
        if self.at.kind == "gpt_neo":
            for site in "qkv":
                after(getattr(attn, site + "_proj"),
                      lambda out, site=site: self._heads(site, i, out))
        elif self.at.kind == "gpt2":
            after(attn.c_attn, lambda out: torch.cat(
                [self._heads(s, i, part) for s, part in zip("qkv", out.chunk(3, -1))], -1))
        else:  # rows by [head][q, k, v][width]
            def split(out):
                parts = out.reshape(*out.shape[:2], self.n_heads, 3, -1)
                parts = [self._visit(s, i, parts[..., k, :]) for k, s in enumerate("qkv")]
                return torch.stack(parts, 3).reshape(out.shape)
            after(attn.query_key_value, split)

    def _block_in(self, i, x):
        self._residual = self._flat("resid_pre", i, x)
        return self._residual

    def _attn_out(self, i, out):
        out = self._flat("attn_out", i, out)
        if self.parallel:
            return out
        mid = self._residual + out
        new = self._flat("resid_mid", i, mid)
        return out + (new - mid) if ("resid_mid", i) in self._injections else out

    def _block_out(self, i, out):
        if isinstance(out, tuple):
            return (self._flat("resid_post", i, out[0]), *out[1:])
        return self._flat("resid_post", i, out)

    # ---- inside attention ------------------------------------------------------------------------

    def _attend(self, i, original, query, key, value):
        """original(query, key) -> (output [N, T, H, K], pattern [N, H, T, T]), edited; query, key
        and value are [N, H, T, K]."""
        query = self._visit("q_rot", i, query.transpose(1, 2)).transpose(1, 2)
        key = self._visit("k_rot", i, key.transpose(1, 2)).transpose(1, 2)
        output, pattern = original(query, key)
        new = self._visit("pattern", i, pattern.transpose(1, 2)).transpose(1, 2)
        if ("pattern", i) in self._injections:
            output = torch.matmul(new, value).transpose(1, 2)
        return output, new

    @contextlib.contextmanager
    def _attention_functions(self):
        if self.at.kind == "gpt_neo":
            for i, attn in enumerate(self.at.attn):
                attn._attn = self._neo_attention(i, attn)
            try:
                yield
            finally:
                for attn in self.at.attn:
                    del attn._attn
            return
        module = modeling_gpt2 if self.at.kind == "gpt2" else modeling_gpt_neox
        eager = module.eager_attention_forward

        def attention(attn, query, key, value, mask, **kwargs):
            return self._attend(attn.layer_idx, lambda q, k: eager(attn, q, k, value, mask,
                                                                   **kwargs), query, key, value)
        module.eager_attention_forward = attention
        try:
            yield
        finally:
            module.eager_attention_forward = eager

    def _neo_attention(self, i, attn):
        """GPT-Neo's output is [N, H, T, K]."""
        original = type(attn)._attn

        def attention(query, key, value, mask=None):
            def swapped(q, k):
                output, pattern = original(attn, q, k, value, mask)
                return output.transpose(1, 2), pattern
            output, pattern = self._attend(i, swapped, query, key, value)
            return output.transpose(1, 2), pattern
        return attention
