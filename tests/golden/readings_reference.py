"""The float64 reference of the readings: what is told by a model and its base runs without any
intervention. Activations come from `transformers` (sweep_hooks), weights straight from the
checkpoint (numpy_forward); the formulas are written from the documentation, as plainly as possible:
whole [width, width] matrices, one prompt at a time.

expected_readings(reference, weights, ...) gives {"<group>/[clean|corrupted/]<name>": array}. Where
a value is a count of comparisons, NAME_low and NAME_high say what it may be when logits are off by
`logit_error`.
"""
import numpy as np

from sweep_random import Rng

STREAM_REPEATED = int.from_bytes(b"repeated", "big")
REPEATED_PROMPTS, REPEATED_LENGTH, TOP, TOKENS_MOST = 10, 25, 5, 1000


def layer_norm(x, weight, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + eps) * weight + bias


class Readings:
    def __init__(self, reference, weights, bos=-1, n_valid=None, seed=0, logit_error=1e-5):
        self.reference, self.model, self.w = reference, reference.model, weights
        self.pairs, self.bos, self.seed, self.error = reference.pairs, bos, seed, logit_error
        self.n_valid = n_valid or weights.unembed.shape[1]
        self.n_layers, self.n_heads = self.model.n_layers, self.model.n_heads
        self.head_width = self.model.width // self.n_heads
        self.out = {}

    def all(self, n_context):
        for b in range(len(self.pairs)):
            for side in ("clean", "corrupted"):
                self.attribution(b, side)
                self.lens(b, side)
                self.attention(b, side)
        self.repeated(n_context)
        self.copying(n_context)
        self.composition()
        return self.out

    def put(self, name, index, value, shape):
        if name not in self.out:
            self.out[name] = np.full(shape, np.nan)
        self.out[name][index] = value

    def by_pair(self, group, side, name, b, value, at=()):
        value = np.asarray(value)
        shape = (len(self.pairs), *([self.n_layers] if at != () else []), *value.shape)
        self.put(f"{group}/{side}/{name}", (b, *at), value, shape)

    def values(self, b, side, site, layer):
        return self.reference.values(b, side, site, layer)

    def head(self, layer, h):
        """W_Q, W_K, W_V [D, K] (norm weight not folded), b_V [K], W_O [K, D] of one head."""
        part = slice(h * self.head_width, (h + 1) * self.head_width)
        weights = [w[:, part] for w, _ in layer["qkv"]]
        bias = np.broadcast_to(layer["qkv"][2][1], (self.model.width,))[part]
        return *weights, bias, layer["out"][0][part]

    # ---- direct logit attribution ----------------------------------------------------------------

    def attribution(self, b, side):
        w, group, pair = self.w, "direct_logit_attribution", self.pairs[b]
        gamma, beta = w.final
        u = w.unembed[:, pair["answer"]] - w.unembed[:, pair["foil"]]
        final = self.values(b, side, "resid_post", self.n_layers - 1)[-1, 0]
        sigma = np.sqrt(final.var() + w.eps)

        def of(component):
            return float(((component - component.mean()) / sigma * gamma) @ u)

        token, position = pair[side][-1], len(pair[side]) - 1
        total = 0.0
        for i, layer in enumerate(w.layers):
            z = self.values(b, side, "z", i)[-1]
            heads = [of(z[h] @ self.head(layer, h)[-1]) for h in range(self.n_heads)]
            bias = of(np.broadcast_to(layer["out"][1], final.shape))
            mlp = of(self.values(b, side, "mlp_out", i)[-1, 0])
            total += sum(heads) + bias + mlp
            for name, value in (("heads", heads), ("attn_bias", bias), ("mlp", mlp)):
                self.by_pair(group, side, name, b, value, (i,))
        rest = {"embed": of(w.embed[token]), "bias": float(beta @ u),
                "pos_embed": 0.0 if w.pos_embed is None else of(w.pos_embed[position])}
        for name, value in rest.items():
            self.by_pair(group, side, name, b, value)
        total += sum(rest.values())
        right = self.reference.base_differences(side)[b]
        assert abs(total - right) <= 1e-9 * max(1.0, abs(right)), "attributions do not sum to LD"

    # ---- logit lens ------------------------------------------------------------------------------

    def lens(self, b, side):
        group, pair = "logit_lens", self.pairs[b]
        answer, foil = pair["answer"], pair["foil"]
        for i in range(self.n_layers):
            x = self.values(b, side, "resid_post", i)[-1, 0]
            logits = layer_norm(x, *self.w.final, self.w.eps) @ self.w.unembed
            p = np.exp(logits - logits.max())
            p /= p.sum()
            self.by_pair(group, side, "logit_diff", b, logits[answer] - logits[foil], (i,))
            for name, token in (("answer", answer), ("foil", foil)):
                self.by_pair(group, side, "prob_" + name, b, p[token], (i,))
                above = np.delete(logits[:self.n_valid] - logits[token], token)
                for suffix, least in (("", 0.0), ("_low", self.error), ("_high", -self.error)):
                    self.by_pair(group, side, f"rank_{name}{suffix}", b, (above > least).sum(),
                                 (i,))

    # ---- where heads look ------------------------------------------------------------------------

    def attention(self, b, side):
        group, pair = "head_scores", self.pairs[b]
        roles = list(dict.fromkeys(r for p in self.pairs for r in p.get("roles") or []
                                   if r is not None))
        differ = np.array(pair["clean"]) != np.array(pair["corrupted"])
        for i in range(self.n_layers):
            a = self.values(b, side, "pattern", i).swapaxes(0, 1)  # [H, query, key]
            with np.errstate(divide="ignore", invalid="ignore"):
                entropy = -np.where(a > 0, a * np.log(a), 0.0).sum(-1).mean(-1)
                bos = a[:, 1:, 0].mean(-1) if a.shape[1] > 1 else np.full(len(a), np.nan)
            self.by_pair(group, side, "bos_mass", b, bos, (i,))
            self.by_pair(group, side, "entropy", b, entropy, (i,))
            self.by_pair(group, side, "difference_mass", b, a[:, -1][:, differ].sum(-1), (i,))
            mine = np.array(pair.get("roles") or [None] * len(differ), object)
            mass = [a[:, -1][:, mine == role].sum(-1) if (mine == role).any()
                    else np.full(len(a), np.nan) for role in roles]
            if roles:
                self.by_pair(group, side, "role_mass", b, np.stack(mass, -1), (i,))

    def repeated(self, n_context):
        """Means over prompts [BOS, r_1..r_L, r_1..r_L] of random tokens."""
        first = [self.bos] if self.bos >= 0 else []
        length = min(REPEATED_LENGTH, (n_context - len(first)) // 2)
        shape = (self.n_layers, self.n_heads)
        for name in ("previous_token", "duplicate", "induction"):
            self.out[f"head_scores/{name}"] = np.full(shape, 0.0 if length >= 2 else np.nan)
        for n in range(REPEATED_PROMPTS if length >= 2 else 0):
            rng = Rng(STREAM_REPEATED, 0, self.seed, n)
            r = [rng.below(self.n_valid) for _ in range(length)]
            places = [("pattern", i) for i in range(self.n_layers)]
            _, values = self.model.run(first + r + r, [[]], places)
            end, second = len(first) + 2 * length, len(first) + length
            for i in range(self.n_layers):
                a = values["pattern", i][0].swapaxes(0, 1)
                for name, queries, back in (("previous_token", range(1, end), 1),
                                            ("duplicate", range(second, end), length),
                                            ("induction", range(second, end - 1), length - 1)):
                    mean = np.mean([a[:, q, q - back] for q in queries], 0)
                    self.out[f"head_scores/{name}"][i] += mean / REPEATED_PROMPTS

    # ---- copying ---------------------------------------------------------------------------------

    def copying(self, n_context):
        first = [self.bos] if self.bos >= 0 and n_context > 1 else []
        tokens = list(dict.fromkeys(t for p in self.pairs for t in
                                    (p["answer"], p["foil"], *p.get("candidates", []))))
        tokens = tokens[:TOKENS_MOST]
        shape = (self.n_layers, self.n_heads)
        for token in tokens:
            _, values = self.model.run(first + [token], [[]], [("resid_post", 0)])
            resid = values["resid_post", 0][0, -1, 0]
            for i, layer in enumerate(self.w.layers):
                x = layer_norm(resid, *layer["norm1"], self.w.eps)
                for h in range(self.n_heads):
                    _, _, w_v, b_v, w_o = self.head(layer, h)
                    o = (x @ w_v + b_v) @ w_o
                    for name, sign in (("copying", 1), ("negative_copying", -1)):
                        logits = layer_norm(sign * o, *self.w.final, self.w.eps) @ self.w.unembed
                        above = np.delete(logits[:self.n_valid] - logits[token], token)
                        for suffix, least in (("", 0.0), ("_low", -self.error),
                                              ("_high", self.error)):
                            key = f"copying/{name}{suffix}"
                            self.out.setdefault(key, np.zeros(shape))
                            self.out[key][i, h] += ((above > least).sum() < TOP) / len(tokens)

    # ---- composition -----------------------------------------------------------------------------

    def composition(self):
        """Frobenius norms of whole matrices, the weights of norms folded in, rotary ignored."""
        ov, qk = {}, {}
        for i, layer in enumerate(self.w.layers):
            gamma = layer["norm1"][0][:, None]
            for h in range(self.n_heads):
                w_q, w_k, w_v, _, w_o = self.head(layer, h)
                ov[i, h] = gamma * w_v @ w_o
                qk[i, h] = gamma * w_q @ (gamma * w_k).T
        norm = np.linalg.norm
        for kind, read in (("q", qk), ("k", {at: m.T for at, m in qk.items()}), ("v", ov)):
            scores = np.full((self.n_layers, self.n_heads) * 2, np.nan)
            for a, sent in ov.items():
                for b, matrix in read.items():
                    if b[0] > a[0]:
                        scores[(*a, *b)] = norm(sent @ matrix) / (norm(sent) * norm(matrix))
            self.out[f"composition/{kind}"] = scores
