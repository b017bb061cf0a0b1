"""The second opinion of the sweeps: every site in the plain numpy forward, with the same interface
as sweep_hooks.HookedModel and no code of `transformers`."""
import numpy as np

from numpy_forward import NumpyModel, _layer_norm
from sweep_hooks import edited


class NumpySites(NumpyModel):
    def __init__(self, folder, inv_freq=None):
        super().__init__(folder, inv_freq)
        self.n_kv_heads, self.d_mlp = self.n_heads, self.layers[0]["mlp_in"][0].shape[1]
        self.width = self.embed.shape[1]

    def run(self, ids, variants, capture=()):
        runs = [self.run_one(ids, variant) for variant in variants]
        captured = {place: np.stack([values[place] for _, values in runs]) for place in capture}
        return np.stack([logits for logits, _ in runs]), captured

    def run_one(self, ids, injections):
        """(logits at the last position, {(site, layer): value}) of one variant."""
        values = {}

        def at(site, layer, value):
            shape = value.shape
            if value.ndim == 2:
                value = value[:, None]
            value = edited(value, [i for i in injections if i[:2] == (site, layer)])
            values[site, layer] = value
            return value.reshape(shape)

        x = at("embed", 0, self.embed[np.asarray(ids)])
        if self.pos_embed is not None:
            x = x + self.pos_embed[:len(ids)]
        for i, layer in enumerate(self.layers):
            x = at("resid_pre", i, x)
            attn = at("attn_out", i, self._attention_out(i, layer, x, at))
            mid = x if self.parallel else at("resid_mid", i, x + attn)
            pre = at("mlp_pre", i, _layer_norm(mid, *layer["norm2"], self.eps)
                     @ layer["mlp_in"][0] + layer["mlp_in"][1])
            mlp = at("mlp_post", i, self.act(pre)) @ layer["mlp_out"][0] + layer["mlp_out"][1]
            mlp = at("mlp_out", i, mlp)
            x = at("resid_post", i, x + attn + mlp if self.parallel else mid + mlp)
        logits = _layer_norm(x[-1], *self.final, self.eps) @ self.unembed
        return logits, values

    def _attention_out(self, i, layer, x, at):
        n = len(x)
        x = _layer_norm(x, *layer["norm1"], self.eps)
        q, k, v = (at(s, i, (x @ w + b).reshape(n, self.n_heads, -1))
                   for s, (w, b) in zip("qkv", layer["qkv"]))
        q, k = at("q_rot", i, self._rotate(q)), at("k_rot", i, self._rotate(k))
        scores = np.einsum("ihk,jhk->ihj", q, k) * layer["scale"]
        query, key = np.arange(n)[:, None, None], np.arange(n)[None, None]
        visible = key <= query
        if layer["window"]:
            visible &= key > query - layer["window"]
        scores = np.where(visible, scores, -np.inf)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        pattern = at("pattern", i, scores / scores.sum(-1, keepdims=True))
        z = at("z", i, np.einsum("ihj,jhk->ihk", pattern, v))
        return z.reshape(n, -1) @ layer["out"][0] + layer["out"][1]
