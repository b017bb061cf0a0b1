"""The float64 reference of every sweep: one full forward pass a variant, nothing pruned.

SweepReference(model, pairs).expected(row) is what `logit_diff` of the result file must be, of shape
[pair, axes of the row], NaN where a cell does not exist for a pair. `model` runs variants:
sweep_hooks.HookedModel (`transformers`) or, for a second opinion, sweep_numpy.NumpySites; all
arithmetic of a forward pass is theirs, only the new values of interventions are made here.
"""
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import sweep_paths
from sweep_hooks import SITES, Injection
from sweep_random import directions, random_sets, resample_pair
from sweep_rows import axes, cells

SIDES = ("clean", "corrupted")


def read_prompts(path):
    """Reference prompts by ids: [(tokens, roles or None)]."""
    out = []
    for line in Path(path).read_text().splitlines():
        line = json.loads(line)
        out.append((line.get("prompt", line.get("clean")), line.get("roles")))
    return out


class SweepReference:
    def __init__(self, model, pairs, bos=-1, batch=256):
        self.model, self.pairs, self.bos, self.batch = model, pairs, bos, batch
        self.lengths = [len(p["clean"]) for p in pairs]
        self.max_length = max(self.lengths)
        self.places = [(s, i) for s in SITES if s in model_sites(model)
                       for i in range(1 if s == "embed" else model.n_layers)]
        self.base = [{side: self._base(p[side]) for side in SIDES} for p in pairs]
        self._files = {}
        self.measure = lambda row, b, logits: self.difference(b, logits)
        self.top_heads = None  # of another result file, strongest first: what sets.top takes

    def _base(self, ids):
        logits, values = self.model.run(ids, [[]], self.places)
        return logits[0], {place: value[0] for place, value in values.items()}

    def values(self, pair, side, site, layer):
        """[T, index, width] of a base run."""
        return self.base[pair][side][1][site, layer]

    def difference(self, pair, logits):
        return logits[..., self.pairs[pair]["answer"]] - logits[..., self.pairs[pair]["foil"]]

    def base_differences(self, side):
        return np.array([self.difference(b, self.base[b][side][0]) for b in range(len(self.pairs))])

    def metric(self, name, row, b, logits):
        """Metrics over the whole vocabulary, to take the place of `measure`."""
        def log_softmax(x):
            x = x - x.max(-1, keepdims=True)
            return x - np.log(np.exp(x).sum(-1, keepdims=True))

        log_p = log_softmax(logits)
        if name.startswith("logprob"):
            return log_p[..., self.pairs[b][name.partition("_")[2]]]
        log_q = log_softmax(self.base[b][getattr(row, name.partition("_")[2])][0])
        return (np.exp(log_q) * (log_q - log_p)).sum(-1)

    # ---- a whole sweep ---------------------------------------------------------------------------

    def expected(self, row, sets=None, only=None):
        """sets: members of each step of the set axis, where the row alone does not say them. only:
        a function (pair, cell) -> bool that picks what is computed; the rest stays NaN."""
        sets = self.sets(row) if sets is None else sets
        all_axes = [(name, range(len(sets)) if name == "set" else list(values))
                    for name, values in axes(row, self.model, self.max_length)]
        out = np.full((len(self.pairs), *(len(v) for _, v in all_axes)), np.nan)
        for b in range(len(self.pairs)):
            chosen = [(index, cell) for index, cell in cells(all_axes) if not only or only(b, cell)]
            if row.intervention == "path":
                found = sweep_paths.differences(self, row, b, [cell for _, cell in chosen])
                found = zip([index for index, _ in chosen], found)
            else:
                variants = [(index, self.variant(row, b, cell, sets))
                            for index, cell in chosen]
                found = self._run(b, row, [v for v in variants if v[1] is not None])
            for index, value in found:
                out[(b, *index)] = value
        return out

    def _run(self, b, row, variants):
        ids = self.pairs[b][row.recipient]
        for start in range(0, len(variants), self.batch):
            part = variants[start:start + self.batch]
            logits, _ = self.model.run(ids, [injections for _, injections in part])
            yield from zip([index for index, _ in part], self.measure(row, b, logits))

    def sets(self, row):
        """Members of each step of the set axis."""
        if row.sets is None:
            return []
        out, n_layers, n_heads = list(row.sets.values()), self.model.n_layers, self.heads(row.site)
        if row.top:
            out += [self.top_heads[:k + 1] for k in range(row.top["k"])]
        if row.random:
            drawn = row.random
            out += random_sets(n_layers, n_heads, list(row.sets.values()), drawn.get("size"),
                               drawn["count"], drawn.get("seed", 0), drawn.get("match") == "layer")
        if row.all_pairs:
            heads = [(i, h) for i in range(n_layers) for h in range(n_heads)]
            out += [[h] for h in heads]
            out += [[a, b] for i, a in enumerate(heads) for b in heads[i + 1:]]
        return out

    def heads(self, site):
        return self.values(0, "clean", site, 0).shape[1]

    # ---- one variant -----------------------------------------------------------------------------

    def positions(self, row, b, cell):
        """Mask [T, 1, 1] of the positions, or None where they do not exist in this pair. For the
        entry of a pattern [T, 1, T]."""
        n, word = self.lengths[b], row.positions_word
        mask = np.zeros((n, 1, 1), bool)
        if word == "all":
            mask[:] = True
        elif word == "last":
            mask[-1] = True
        elif word in ("each", "each_key"):
            at = cell["query_position" if row.site == "pattern" else "position"]
            if at >= n or cell.get("key_position", 0) > at:
                return None  # past the prompt's end, or a key that no query sees
            mask[at] = True
            if word == "each_key":
                mask = mask & (np.arange(n) == cell["key_position"])
        elif word == "list":
            if any(not -n <= p < n for p in row.positions):
                return None
            mask[row.positions] = True
        else:
            roles = self.pairs[b].get("roles") or []
            if any(role not in roles for role in row.positions):
                return None
            mask[[i for i, role in enumerate(roles) if role in row.positions]] = True
        return mask

    def members(self, row, cell, sets):
        """[(site, layer, index or None for all)] on which the variant intervenes."""
        if row.sets is not None:
            chosen, n_layers = set(sets[cell["set"]]), range(self.model.n_layers)
            if row.complement:
                kinds = {head is None for members in sets for _, head in members}
                everything = [(i, h) for i in n_layers for h in range(self.heads(row.site))
                              if False in kinds]
                everything += [(i, None) for i in n_layers if True in kinds]
                chosen = set(everything) - chosen
            return [("mlp_out", i, None) if h is None else (row.site, i, h) for i, h in chosen]
        if row.site == "embed":
            return [("embed", 0, None)]
        head = cell.get("head", cell.get("kv_head"))
        half = row.window // 2
        layers = range(max(cell["layer"] - half, 0),
                       min(cell["layer"] + half, self.model.n_layers - 1) + 1)
        return [(row.site, i, head) for i in layers]

    def variant(self, row, b, cell, sets):
        """Its injections, or None where the cell does not exist for the pair."""
        positions = self.positions(row, b, cell)
        if positions is None or self.lacks_mean(row, b, positions):
            return None
        if row.intervention == "resample" and resample_pair(self.lengths, row.seed, b) < 0:
            return None
        injections = []
        for site, layer, index in self.members(row, cell, sets):
            shape = self.values(b, "clean", site, layer).shape
            mask = np.broadcast_to(positions, shape)
            if index is not None:
                mask = mask & (np.arange(shape[1]) == index)[:, None]
            if "neuron" in cell:
                mask = mask & (np.arange(shape[2]) == cell["neuron"])
            new, where = self.new_value(row, b, site, layer, cell.get("alpha", row.alphas[0]))
            injections.append(Injection(site, layer, mask & where, new))
        return injections

    def new_value(self, row, b, site, layer, alpha):
        """(function of the variant's own value, mask of where it applies)."""
        kind, always = row.intervention, np.bool_(True)
        own = self.values(b, row.recipient, site, layer)
        donor = self.values(b, row.donor, site, layer)
        if kind == "patch":
            return (lambda x: donor), always
        if kind == "zero":
            return np.zeros_like, always
        if kind == "mean":
            mean, where = self.mean(row, b, site, layer)
            return (lambda x: mean), where
        if kind == "resample":
            other = resample_pair(self.lengths, row.seed, b)
            value = self.values(other, row.recipient, site, layer)
            return (lambda x: value), always
        if kind == "scale":
            return (lambda x: alpha * x), always
        if kind == "add":
            vector = self.file(row.vector, "vector", 1, layer)
            return (lambda x: x + alpha * vector), always
        if kind == "project":
            projector = self.projector(row.subspace, layer)
            return (lambda x: x + np.einsum("...i,...ij->...j", donor - x, projector)), always
        assert kind == "control", kind
        noise = self.noise(row, b, site, layer)
        return (lambda x: own + noise), always

    def file(self, path, name, n_dims, layer):
        """A tensor of a file at one layer: [n_dims] or [index, n_dims] dimensions."""
        if path not in self._files:
            self._files[path] = load_file(path)[name].astype(np.float64)
        tensor = self._files[path]
        return tensor if tensor.ndim == n_dims else tensor[layer]

    def projector(self, path, layer):
        """On the span of the rows: [W, W] or [index, W, W]."""
        rows = self.file(path, "subspace", 2, layer)
        return np.linalg.pinv(rows) @ rows

    def noise(self, row, b, site, layer):
        """[T, index, width] of the norm of donor - recipient by position and index; a neuron is an
        index of its own."""
        change = self.values(b, row.donor, site, layer) - self.values(b, row.recipient, site, layer)
        if row.neurons is not None:
            change = change.swapaxes(1, 2)
        noise = np.linalg.norm(change, axis=-1, keepdims=True) * directions(
            row.seed, b, layer, SITES.index(site), *change.shape)
        return noise.swapaxes(1, 2) if row.neurons is not None else noise

    # ---- means -----------------------------------------------------------------------------------

    def reference_runs(self, row):
        """[(tokens, roles, values)] of the reference prompts."""
        if row.over in SIDES:
            return [(p[row.over], p.get("roles"), self.base[b][row.over][1])
                    for b, p in enumerate(self.pairs)]
        if row.over not in self._files:
            self._files[row.over] = [(ids, roles, self._base(ids)[1])
                                     for ids, roles in read_prompts(row.over)]
        return self._files[row.over]

    def means(self, row, site, layer):
        """[index, width] (overall), [position, index, width] or {role: [index, width]}."""
        runs = self.reference_runs(row)
        if row.by == "position":
            return np.mean([values[site, layer] for _, _, values in runs], 0)
        if row.by == "overall":
            return np.concatenate([values[site, layer][int(ids[0] == self.bos):]
                                   for ids, _, values in runs]).mean(0)
        found = {}
        for _, roles, values in runs:
            for i, role in enumerate(roles or []):
                if role is not None:
                    found.setdefault(role, []).append(values[site, layer][i])
        return {role: np.mean(values, 0) for role, values in found.items()}

    def lacks_mean(self, row, b, positions):
        """Whether a position has a role that the reference prompts do not have."""
        if row.intervention != "mean" or row.by != "role":
            return False
        known = {role for _, roles, _ in self.reference_runs(row) for role in roles or []}
        roles = self.pairs[b].get("roles") or []
        return any(role is not None and role not in known and positions[i].any()
                   for i, role in enumerate(roles))

    def mean(self, row, b, site, layer):
        """(the mean's value for a pair, mask of the positions that have one)."""
        means = self.means(row, site, layer)
        if row.by != "role":
            return means, np.bool_(True)
        roles = self.pairs[b].get("roles") or [None] * self.lengths[b]
        value = np.zeros_like(self.values(b, "clean", site, layer))
        where = np.zeros((len(roles), 1, 1), bool)
        for i, role in enumerate(roles):
            if role in means:
                value[i], where[i] = means[role], True
        return value, where


def model_sites(model):
    return [s for s in SITES if not (s == "resid_mid" and model.parallel)]
