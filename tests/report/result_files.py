"""Small result files for tests of the report, written by h5py in the layout of docs/file-format.md: only
what a report reads, with values that a test chooses."""
import h5py
import numpy as np

CONFIG = "model: {path: made-up}\ntask: {name: box}\n"
SHOWN = ("effect", "stderr", "ci_low", "ci_high", "p_value", "p_fwer", "q_bh", "restoration",
         "restoration_ci_low", "restoration_ci_high", "restoration_of_means")


def text(group, name, values):
    group.create_dataset(name, data=np.array(values, dtype=object), dtype=h5py.string_dtype("utf-8"))


class ResultFile:
    """with ResultFile(path, ...) as f: f.sweep(...): completed when it is left."""

    def __init__(self, path, pairs=6, layers=3, heads=4, positions=8, seed=0, words=None, complete=1,
                 attributes=None, equal=True, roles=("state", "query")):
        self.f = h5py.File(path, "w")
        self.n = (pairs, layers, heads, positions)
        self.rng = np.random.default_rng(seed)
        self.n_sweeps = 0
        self.checked = []
        f = self.f
        for name, size in zip(("pair", "layer", "head", "position", "chunk"), (*self.n, 1)):
            self.scale(f, name, np.arange(size, dtype="i4"))
        f.attrs.update({"title": "A made-up result", "schema_version": 2, "complete": complete,
                        "experiment_sha256": f"{seed:02d}" * 32, "config": CONFIG, "identity": CONFIG,
                        "command": "patchbay run made-up.yaml", "model_path": "made-up", "family": "gpt2",
                        "model_sha256": "ab" * 32, "pairs_sha256": "cd" * 32, "backend": "cpu",
                        "precision": "fp32", "device": "a processor", "host": "here",
                        "patchbay_version": "0", "git_commit": "-", "started": "2026-01-01T00:00:00Z",
                        "finished": "2026-01-01T00:01:00Z", **(attributes or {})})
        self.base = np.stack([3 + self.rng.random(pairs), -2 - self.rng.random(pairs)])
        for side, name in enumerate(("clean", "corrupted")):
            f[f"base/{name}/logit_diff"] = self.base[side]
        self.pairs(words, equal, roles)
        f.create_group("sweeps")

    @staticmethod
    def scale(group, name, values):
        group[name] = values
        group[name].make_scale(name)
        return group[name]

    def pairs(self, words, equal, roles):
        pairs, _, _, positions = self.n
        g = self.f.create_group("pairs")
        length = np.full(pairs, positions) if equal else positions - np.arange(pairs) % 3
        words = words or [f" word{i}" for i in range(positions + 1)]
        clean = np.tile(np.arange(positions), (pairs, 1)).astype("i4")
        corrupted = clean.copy()
        corrupted[:, positions // 2] = len(words) - 1
        for table in (clean, corrupted):
            table[np.arange(positions)[None] >= length[:, None]] = -1
        g["clean_tokens"], g["corrupted_tokens"] = clean, corrupted
        g["length"] = length.astype("i4")
        g["first_difference"] = np.full(pairs, positions // 2, "i4")
        g["answer_token"], g["foil_token"] = np.zeros(pairs, "i4"), np.ones(pairs, "i4")
        g["right"] = np.array([i % 3 != 2 for i in range(pairs)], "u1")
        g["token_id"] = np.arange(len(words), dtype="i4")
        text(g, "token_text", words)
        for name in ("clean_text", "corrupted_text", "answer_text", "foil_text"):
            text(g, name, [f"{name} {i}" for i in range(pairs)])
        if roles:
            g["roles"] = np.where(clean < 0, -1, np.arange(positions)[None] * len(roles) // positions).astype("i4")
            text(g, "role_name", list(roles))

    def sweep(self, words="patch_z_denoise_all", axes=("layer", "head"), values=None, attributes=None,
              effects=None, metrics=()):
        """`axes`: names, or (name, values); `effects`: [pair, cells...] or None for random ones; `metrics`: names
        of further metrics, with random values."""
        pairs, layers, heads, positions = self.n
        sizes = {"layer": layers, "head": heads, "position": positions, "query_position": positions,
                 "key_position": positions, "sender_layer": layers, "sender_head": heads,
                 "receiver_layer": layers, "receiver_head": heads}
        noise = "_noise" in words
        group = self.f.create_group(f"sweeps/{self.n_sweeps}_{words}")
        scales = []
        for axis in axes:
            name, steps = axis if isinstance(axis, tuple) else (axis, np.arange(sizes[axis], dtype="i4"))
            scales.append(self.scale(group, name, np.asarray(steps)))
        shape = tuple(len(s) for s in scales)
        if effects is None:
            effects = self.rng.normal(0, .1, (pairs, *shape))
            effects[(slice(None), *[0] * len(shape))] += -2 if "_noise" in words else 2
        recipient = self.base[0 if noise else 1].reshape(-1, *[1] * len(shape))
        group["logit_diff"] = effects + recipient
        group.attrs.update({"intervention": words.split("_")[0], "site": "z", "positions": "all",
                            "direction": "noise" if noise else "denoise", "min_gap": .1, **(attributes or {})})
        if words.startswith("path"):
            del group.attrs["site"]
        self.summary(group, scales, effects, recipient)
        for name in metrics:
            self.metric(group, name, axes, shape)
        self.checked.append(np.nanmax(np.abs(effects), initial=0))
        self.n_sweeps += 1
        return group

    def summary(self, group, scales, effects, recipient):
        right = self.f["pairs/right"][:] == 1
        gap = (self.base[0] - self.base[1]).reshape(-1, *[1] * (effects.ndim - 1))
        restored = (effects + recipient - self.base[1].reshape(gap.shape)) / gap
        summary = group.create_group("summary")
        with np.errstate(all="ignore"):
            for suffix, rows in (("", slice(None)), ("_right", right)):
                mean, back = effects[rows].mean(0), restored[rows].mean(0)
                n = effects[rows].shape[0]
                error = effects[rows].std(0, ddof=1) / np.sqrt(n) if n > 1 else mean * np.nan
                wide = restored[rows].std(0, ddof=1) / np.sqrt(n) if n > 1 else back * np.nan
                p = np.where(np.isnan(mean), np.nan, np.minimum(1, np.exp(-np.abs(mean) * 3)))
                values = (mean, error, mean - 2 * error, mean + 2 * error, p, p, p, back, back - 2 * wide,
                          back + 2 * wide, back)
                for name, value in zip(SHOWN, values):
                    data = summary.create_dataset(name + suffix, data=value)
                    for i, scale in enumerate(scales):
                        data.dims[i].attach_scale(scale)
                summary["n_pairs" + suffix] = np.where(np.isnan(mean), 0, n).astype("i4")
                summary["restoration_n_pairs" + suffix] = np.where(np.isnan(back), 0, n).astype("i4")

    def sets(self, group, sets):
        """What the sets of a sweep are: (name, source, members) each."""
        into = self.f.create_group(f"sets/{group.name.split('/')[-1]}")
        for name, values in zip(("name", "source", "members"), zip(*sets)):
            text(into, name, list(values))
        into["size"] = np.array([len(members.split()) for _, _, members in sets], "i4")

    def metric(self, group, name, axes, shape):
        """Raw values, their mean in the summary, the base runs'. Where the last axis counts from the end, raw
        values count from the start all the same."""
        pairs, f = self.n[0], self.f
        candidates = (3,) if name == "candidate_logits" else ()
        raw = self.rng.random((pairs, *shape, *candidates)).astype("f4")
        lined_up = raw.astype("f8")
        if isinstance(axes[-1], tuple) and axes[-1][0].endswith("_from_end"):
            length, n = f["pairs/length"][:], shape[-1]
            for i in range(pairs):
                raw[i, ..., length[i]:] = np.nan
                lined_up[i] = np.nan
                lined_up[i, ..., n - length[i]:] = raw[i, ..., :length[i]]
        group[name] = raw
        if candidates:
            if "candidates" not in f["pairs"]:
                f["pairs/candidates"] = np.tile(np.array([2, 3, 4], "i4"), (pairs, 1))
                f["pairs/candidates"][0, 2] = 5
            return lined_up
        group[f"summary/{name}_mean"] = np.nanmean(lined_up, 0)
        for side in ("clean", "corrupted"):
            if not name.startswith("kl") and name != "prob_diff" and name not in f[f"base/{side}"]:
                f[f"base/{side}/{name}"] = self.rng.random(pairs).astype("f4")
        return lined_up

    def checks(self):
        f, layers = self.f, self.n[1]
        f["checks/resid_pre_deviation"] = np.full((1, layers), 1e-6)
        f["checks/resid_pre_pairs"] = np.array([2], "i4")
        f["checks/logit_largest"] = np.array([10.])
        f["checks/attribution_deviation"] = np.array([np.nan])
        self.scale(f, "checked_variant", np.arange(self.n_sweeps, dtype="i4"))
        values = []
        for i in range(self.n_sweeps):
            data = next(g for name, g in f["sweeps"].items() if name.startswith(f"{i}_"))["logit_diff"][0]
            values.append(np.ravel(data)[0])
        f["checks/variant_sweep"] = np.arange(self.n_sweeps, dtype="i4")
        for name in ("pair", "cell"):
            f[f"checks/variant_{name}"] = np.zeros(self.n_sweeps, "i4")
        for name in ("logit_diff", "logit_diff_plain"):
            f[f"checks/variant_{name}"] = np.array(values, "f8")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if error[0] is None and "checks" not in self.f:
            self.checks()
        self.f.close()
