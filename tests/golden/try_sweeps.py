"""Try the engine's sweeps on fresh random models: try_sweeps.py [options] SEED...

Each seed makes a model of a random family with random sizes and flags, random pairs with roles, and
random sweep rows of every kind, noise and random sets included; Patchbay runs them and every cell
is compared with the float64 reference of sweep_reference.py. With no seed, one is taken from the
clock and printed. Needs torch, transformers, safetensors, h5py, PyYAML; the binary is
build/release/patchbay or PATCHBAY. Prints one line a seed and a final count; exit 1 on failure.
"""
import json
import re
import subprocess

import h5py
import numpy as np
import torch
import yaml
from safetensors.numpy import save_file

import engine_models as em
from compare_sweeps import QUIET, READINGS, TOLERANCE, compare
from engine_reference import inv_freq_of, load
from make_sweeps import (activations, effects, row_line, stored_mean, stored_noise,
                         write_expected)
from readings_reference import Readings
from sweep_cases import ROLES
from sweep_hooks import HEAD_SITES, HookedModel
from sweep_numpy import NumpySites
from sweep_random import resample_pair
from sweep_reference import SIDES, SweepReference
from sweep_rows import member, read_rows
from try_random import FAMILIES, parser_of, random_config, try_seeds

METRICS = ("logprob_answer", "logprob_foil", "kl_recipient", "kl_donor")
KINDS = ("patch", "zero", "mean", "resample", "scale", "add", "project", "control", "path")


class Maker:
    """Draws everything of one seed."""

    def __init__(self, seed, folder):
        self.rng, self.folder, self.n_files = np.random.default_rng(seed), folder, 0
        self.seed = seed

    def flag(self, p=0.5):
        return bool(self.rng.random() < p)

    def one(self, choices):
        return choices[int(self.rng.integers(len(choices)))]

    def some(self, choices, least=1):
        choices = list(choices)
        n = int(self.rng.integers(least, len(choices) + 1))
        return [choices[i] for i in sorted(self.rng.permutation(len(choices))[:n])]

    # ---- model and pairs -------------------------------------------------------------------------

    def model(self):
        family = self.one(FAMILIES)
        config = random_config(self.rng, family)
        gain = float(self.rng.uniform(0.5, 1.0 if family == "gpt_neo" else 1.6))
        dtype = self.one(("F32", "F16", "BF16"))
        em.make_model(self.folder / "model", family, config, self.seed, dtype, gain)
        self.context = config.get("n_positions") or config["max_position_embeddings"]
        self.n_vocab = config["vocab_size"]
        self.m = HookedModel(load(self.folder / "model"))
        return f"{family} {dtype}"

    def roles(self, length):
        if self.flag(0.15):
            return None
        return [self.one(ROLES) if self.flag(0.6) else None for _ in range(length)]

    def pairs(self):
        self.equal = self.flag(0.4)
        longest = min(self.context, 11)
        lengths = [int(self.rng.integers(1, longest + 1)) for _ in range(3)]
        pairs = []
        for _ in range(int(self.rng.integers(1, 7))):
            length = lengths[0] if self.equal else self.one(lengths)
            differ = {"one": [int(self.rng.integers(length))], "first": [0], "last": [length - 1],
                      "none": [], "many": self.some(range(length))}
            kind = self.one(("one", "one", "first", "last", "many", "many", "none"))
            pair = em.make_pair(self.rng, self.n_vocab, length, differ[kind])
            roles = self.roles(length)
            pairs.append({**pair, "roles": roles} if roles else pair)
        self.known = [r for r in ROLES if any(r in p.get("roles", []) for p in pairs)]
        return pairs

    # ---- files -----------------------------------------------------------------------------------

    def file(self, suffix):
        self.n_files += 1
        return self.folder / f"file{self.n_files}.{suffix}"

    def width(self, site):
        if site in HEAD_SITES:
            return self.m.width // self.m.n_heads
        return self.m.d_mlp if site == "mlp_post" else self.m.width

    def vector(self, site, rank=None):
        shape = (self.width(site),) if rank is None else (rank, self.width(site))
        depth = self.one((0, 1, 2) if site in HEAD_SITES else (0,) if site == "embed" else (0, 1))
        shape = (self.m.n_layers, self.m.n_heads)[:depth] + shape
        path = self.file("safetensors")
        dtype = self.one((np.float32, np.float64, np.float16))
        save_file({"subspace" if rank else "vector": self.rng.normal(size=shape).astype(dtype)},
                  path)
        return str(path)

    def prompts(self, length=None, by_role=False):
        path, lines = self.file("jsonl"), []
        for _ in range(int(self.rng.integers(1, 4))):
            n = length or int(self.rng.integers(1, min(self.context, 11) + 1))
            line = {self.one(("prompt", "clean")): self.rng.integers(self.n_vocab, size=n).tolist()}
            roles = self.roles(n)
            if by_role and not lines:
                roles = [self.one(self.known) for _ in range(n)]
            lines.append({**line, "roles": roles} if roles else line)
        em.write_pairs(path, lines)
        return str(path)

    # ---- rows ------------------------------------------------------------------------------------

    def positions(self, row, longest, path_or_sets=False):
        words = ["all", "last", "list"] + ["roles"] * bool(self.known)
        if not path_or_sets:
            words += ["each", "each"] + ["each_key"] * 2 * (row.get("site") == "pattern")
        word = self.one(words)
        if word == "list":
            spots = [int(p) for p in self.rng.integers(-min(longest, 4), longest, size=3)]
            return self.some(sorted(set(spots)))
        return self.some(self.known) if word == "roles" else word

    def row(self, pairs):
        longest = max(len(p["clean"]) for p in pairs)
        row = {"intervention": self.one(KINDS)}
        kind = row["intervention"]
        if kind == "path":
            return self.path(row, longest)
        sites = [s for s in self.m.sites() if s != "mlp_pre"]
        if kind in ("add", "project", "control"):
            sites.remove("pattern")
        by_sets = self.flag(0.3)
        row["site"] = self.one([s for s in sites if s in HEAD_SITES] if by_sets else sites)
        if row["site"] == "pattern" and kind == "mean" and not self.equal:
            row["site"] = "z"
        row["positions"] = self.positions(row, longest, by_sets)
        if self.flag(0.7):
            row["direction"] = self.one(("denoise", "noise"))
        if kind in ("resample", "control"):
            row["seed"] = int(self.rng.integers(2 ** 32))
        if kind == "scale" or kind == "add" and self.flag():
            alphas = [round(float(a), 3) for a in self.rng.uniform(-1, 2.5, size=3)]
            row["alpha"] = self.one(([0, 1, 0.5], alphas, alphas[0], [alphas[1]]))
        if kind == "add":
            row["vector"] = self.vector(row["site"])
        if kind == "project":
            most = self.width(row["site"])
            row["subspace"] = self.vector(row["site"], int(self.rng.integers(1, most + 1)))
        if kind == "mean":
            row["reference"] = self.reference(row["site"], longest)
        if by_sets:
            row["sets"] = self.sets(kind)
            if self.flag(0.3):
                row["complement"] = True
        else:
            self.parts(row)
        return row

    def reference(self, site, longest):
        by = self.one(["overall"] + ["role"] * bool(self.known) + ["position"] * 2 * self.equal)
        if site == "pattern":
            by = "position"
        over = self.one(("clean", "corrupted", "file"))
        if over == "file":
            over = self.prompts(longest if by == "position" else None, by == "role")
        return {"over": over, "by": by}

    def parts(self, row):
        site, layers = row["site"], range(self.m.n_layers)
        if site == "embed":
            return
        if site == "mlp_post" and self.flag(0.4) and row["intervention"] not in ("project",):
            row["layers"] = [self.one(list(layers))]
            row["neurons"] = self.one(("all", self.some(range(self.m.d_mlp))[:6]))
            return
        if self.flag(0.25):
            row["window"] = self.one((1, 3, 5))
        if self.flag(0.3):
            row["layers"] = self.some(layers)
        if self.flag(0.3) and site in HEAD_SITES:
            row["heads"] = self.some(range(self.m.n_heads))

    def sets(self, kind):
        labels = [f"L{i}H{h}" for i in range(self.m.n_layers) for h in range(self.m.n_heads)]
        mlps = [f"M{i}" for i in range(self.m.n_layers)]
        if kind in ("add", "project") or self.flag():
            mlps = []
        sets = {}
        for n in range(int(self.rng.integers(0, 4))):
            members = self.some(labels + mlps)[:8]
            sets[f"set{n}"] = [members[i] for i in self.rng.permutation(len(members))]
        named = {m for members in sets.values() for m in members}
        free = [x for x in labels if x not in named]
        if free and self.flag(0.4):
            sets["random"] = {"size": int(self.rng.integers(1, len(free) + 1)),
                              "count": int(self.rng.integers(1, 4)),
                              "seed": int(self.rng.integers(1000))}
        first = next(iter(sets.values()), [])
        wanted = [sum(m.startswith(f"L{i}H") for m in first) for i in range(self.m.n_layers)]
        room = [sum(m.startswith(f"L{i}H") for m in free) for i in range(self.m.n_layers)]
        if sum(wanted) and all(a <= b for a, b in zip(wanted, room)) and self.flag(0.2):
            sets["random"] = {"count": 3, "match": "layer"}
        if self.flag(0.15):
            sets["top"] = {"file": str(self.folder / "first.h5"), "sweep": 0,
                           "k": int(self.rng.integers(1, min(len(labels), 5) + 1))}
        if len(labels) <= 9 and (self.flag(0.25) or not sets):
            sets["pairs"] = "all"
        return sets or {"one": [labels[0]]}

    def path(self, row, longest):
        m, layers, heads = self.m, range(self.m.n_layers), range(self.m.n_heads)
        row["sender"] = self.one(("head", "mlp", "embed"))
        row["receiver"] = self.one(("q", "k", "v", "mlp", "logits", "set"))
        row["positions"] = self.positions(row, longest, True)
        if self.flag(0.7):
            row["direction"] = self.one(("denoise", "noise"))
        if self.flag(0.7):
            row["freeze"] = self.one(("all", "attention"))
        if self.flag(0.3) and row["sender"] != "embed":
            row["layers"] = self.some(layers)
        if self.flag(0.3) and row["sender"] == "head":
            row["heads"] = self.some(heads)
        if row["receiver"] == "set":
            labels = [f"L{i}H{h}.{c}" for i in layers for h in heads for c in "qkv"]
            labels += [f"M{i}" for i in range(m.n_layers)] + ["logits"] * 3
            chosen = [labels[i] for i in self.rng.permutation(len(labels))[:6]]
            row["receiver"] = list(dict.fromkeys(chosen))[:int(self.rng.integers(1, 7))]
            return row
        if self.flag(0.3) and row["receiver"] != "logits":
            row["receiver_layers"] = self.some(layers)
        if self.flag(0.3) and row["receiver"] in ("q", "k", "v"):
            row["receiver_heads"] = self.some(heads)
        return row


# ---- what it must be -----------------------------------------------------------------------------

def check_sets(result, row, sets):
    """The stored members of every set are those that the row says."""
    group = result[f"sets/{row.name}"]
    members = [[member(label) for label in m.decode().split()] for m in group["members"][()]]
    assert [sorted(m, key=str) for m in members] == [sorted(m, key=str) for m in sets], "members"
    assert [len(m) for m in members] == list(group["size"][()]), "sizes of the sets"


def run_first(patchbay, maker, rows, folder):
    """What sets of the top heads of another file need: that file, and the order of its heads."""
    if not any("top" in row.get("sets", {}) for row in rows):
        return None
    first = {"intervention": "patch", "site": "z", "positions": "all"}
    write_yaml(folder, [first], "auto", "none", [])
    subprocess.run([patchbay, "run", folder / "run.yaml", "--force", "-o", folder / "first.h5"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    with h5py.File(folder / "first.h5") as file:
        effects_ = file["sweeps/0_patch_z_denoise_all/logit_diff"][()] \
            - file["base/corrupted/logit_diff"][()][:, None, None]
    order = np.argsort(-np.abs(effects_.mean(0)).ravel(), kind="stable")
    return [(int(i) // maker.m.n_heads, int(i) % maker.m.n_heads) for i in order]


def expected_of(rows, reference, result):
    out = {f"base/{side}": reference.base_differences(side) for side in SIDES}
    wrong = []
    for row in rows:
        if row.sets is not None:
            try:
                check_sets(result, row, reference.sets(row))
            except (AssertionError, KeyError) as error:
                wrong.append(f"  FAIL sets/{row.name}: {error!r}")
        out[row.name] = reference.expected(row)
        if row.intervention == "mean":
            out["means/" + row.name] = stored_mean(reference, row)
        if row.intervention == "control":
            out["control/" + row.name] = stored_noise(reference, row)
        out = {name: values for name, values in out.items() if values is not None}
        if row.intervention == "resample":
            out["resample/" + row.name] = np.array([
                resample_pair(reference.lengths, row.seed, b)
                for b in range(len(reference.pairs))])
    return out, wrong


def float32_tolerances(folder, rows, reference, expected):
    """(tolerances, slack): where a plain float32 forward strays, three times that is allowed."""
    plain = SweepReference(HookedModel(load(folder / "model", torch.float32)), reference.pairs)
    plain.top_heads = reference.top_heads
    tolerances = {}
    largest = max(np.nanmax(np.abs(effects(reference, r, expected[r.name])), initial=0.0)
                  for r in rows)
    for row in rows:
        right = effects(reference, row, expected[row.name])
        off = effects(plain, row, plain.expected(row)) - right
        scale = max(np.nanmax(np.abs(right), initial=0.0), QUIET * largest)
        if scale > 0:
            tolerances[row.name] = max(TOLERANCE, 3.0 * np.nanmax(np.abs(off), initial=0) / scale)
    strays = max(np.max(np.abs(run[1][place] - right)) / np.max(np.abs(right))
                 for b, sides in enumerate(reference.base) for side in SIDES
                 for place, right in sides[side][1].items()
                 for run in (plain.base[b][side],))
    return tolerances, max(1.0, 3.0 * strays / READINGS)


# ---- one seed ------------------------------------------------------------------------------------

def write_yaml(folder, rows, chunk, readings, save, metrics="logit_diff"):
    (folder / "run.yaml").write_text(
        f"model: {{path: {folder / 'model'}}}\npairs: {folder / 'pairs.jsonl'}\nsweep:\n"
        + "".join(f"  - {row_line(row)}\n" for row in rows)
        + f"metrics: [{metrics}]\nreadings: {readings}\n"
        f"save: [{', '.join([*save, 'control'])}]\nengine: {{chunk: {chunk}}}\n")


def add_the_rest(out, maker, reference, readings, save):
    """Readings and saved activations."""
    config = maker.m.model.config
    if readings == "all":
        weights = NumpySites(maker.folder / "model", inv_freq_of(maker.m.model))
        found = Readings(reference, weights).all(config.max_position_embeddings)
        out.update({"readings/" + name: values for name, values in found.items()})
    for site in save:
        out.update({f"activations/{side}/{site}": activations(reference, side, site)
                    for side in SIDES})


def try_seed(seed, patchbay, folder, n_rows, only):
    """(ok, line, report) of one seed."""
    maker = Maker(seed, folder)
    about = f"seed {seed}: {maker.model()}"
    pairs = maker.pairs()
    rows = [maker.row(pairs) for _ in range(n_rows)]
    rows = [row for n, row in enumerate(rows) if not only or n in only]
    chunk = maker.one(("auto", 1, 2, 3))
    em.write_pairs(folder / "pairs.jsonl", pairs)
    readings = "all" if maker.flag(0.3) else "none"
    save = maker.some([s for s in maker.m.sites() if s != "mlp_pre"]) if maker.flag(0.3) else []
    top = run_first(patchbay, maker, rows, folder)
    metric = maker.one(METRICS) if maker.flag(0.4) else None
    while True:
        write_yaml(folder, rows, chunk, readings, save, metric.partition("_")[0] if metric
                   else "logit_diff")
        run = subprocess.run([patchbay, "run", folder / "run.yaml", "-o", folder / "result.h5"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             check=False)
        # a row without any cell (no receiver behind its senders, roles that no pair has) is refused
        empty = re.search(r"nothing to do: sweep\.(\d+)\.", run.stdout)
        if run.returncode != 2 or not empty or len(rows) == 1:
            break
        del rows[int(empty[1])]
    about += f", {len(pairs)} pairs, {len(rows)} sweeps"
    if run.returncode != 0:
        return False, about + f": FAILED: patchbay run ended with {run.returncode}", run.stdout
    reference = SweepReference(maker.m, pairs)
    reference.top_heads = top
    rows = read_rows(yaml.safe_load((folder / "run.yaml").read_text()))
    with h5py.File(folder / "result.h5") as result:
        expected, wrong = expected_of(rows, reference, result)
        if metric:
            reference.measure = lambda row, b, logits: reference.metric(metric, row, b, logits)
            expected.update({f"metrics/{row.name}/{metric}": reference.expected(row)
                             for row in rows})
        add_the_rest(expected, maker, reference, readings, save)
        write_expected(folder / "expected.h5", expected)
        ok, worst, lines = compare(folder / "result.h5", folder / "expected.h5")
        if not ok:
            ok, worst, lines = compare(folder / "result.h5", folder / "expected.h5",
                                       *float32_tolerances(folder, rows, reference, expected))
    ok = ok and not wrong
    report = "\n".join([*wrong, *(line for line in lines if "FAIL" in line)])
    return ok, about + f": {'ok' if ok else 'FAILED'}: off by {worst:.2g}", report


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=int, default=16, help="sweeps a seed [16]")
    parser.add_argument("--only", type=json.loads, default=[],
                        help="numbers of the rows to run, as a JSON list: to narrow a failure down")
    options = parser.parse_args()
    try_seeds(options, lambda seed, folder: try_seed(seed, options.patchbay, folder, options.rows,
                                                     options.only))


if __name__ == "__main__":
    main()
