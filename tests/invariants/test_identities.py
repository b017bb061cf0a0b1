#!/usr/bin/env python3
"""What must hold of every model, whatever its weights: identities between sweeps of the same run, and
between runs, on every small model of tests/golden and on the bundled one. Nothing here is compared
with a reference; the two sides of each identity are both the binary's.

    tests/invariants/test_identities.py [MODEL...]    PATCHBAY: the binary (default build/release/patchbay)

Needs only h5py and numpy.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "golden"))
from numpy_forward import NumpyModel  # noqa: E402

PATCHBAY = os.environ.get("PATCHBAY", "build/release/patchbay")
SITES = ("embed resid_pre q k v q_rot k_rot pattern z attn_out resid_mid mlp_post mlp_out "
         "resid_post").split()
HEAD_SITES = "q k v q_rot k_rot pattern z".split()
# Of the largest effect of a sweep, where two ways of computing the same meet: float32 leaves about
# 1e-6. Everything else here is held to the last bit.
TOLERANCE = 1e-4
# Effects below this part of the run's largest are noise of float32.
QUIET = 1e-3


class Checks:
    """What was found about one model."""

    def __init__(self, name):
        self.name, self.passed, self.lines = name, 0, []

    def __call__(self, what, ok, detail=""):
        if ok:
            self.passed += 1
        else:
            self.lines.append(f"FAILED: {self.name}: {what} {detail}")

    def same(self, what, a, b):
        """To the bit, NaN at the same places."""
        a, b = np.broadcast_arrays(a, b)
        differ = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        self(what, a.size > 0 and not np.isnan(a).all() and not differ.any(),
             f"{differ.sum()} of {differ.size} differ, by {np.nanmax(np.abs(a - b), initial=0):.3g}")

    def close(self, what, a, b, unit):
        a, b = np.broadcast_arrays(a, b)
        off = np.nanmax(np.abs(a - b), initial=0.0)
        ok = np.array_equal(np.isnan(a), np.isnan(b)) and not np.isnan(a).all()
        self(what, ok and off <= TOLERANCE * unit, f"off by {off / unit:.3g} of the largest effect")


# ---- models, prompts, files ----------------------------------------------------------------------

class Model:
    def __init__(self, folder):
        self.folder = folder
        c = json.loads((Path(folder) / "config.json").read_text())
        first = lambda *keys: next((c[k] for k in keys if c.get(k)), None)  # noqa: E731
        self.layers = first("n_layer", "num_layers", "num_hidden_layers")
        self.heads = first("n_head", "num_heads", "num_attention_heads")
        self.width = first("n_embd", "hidden_size")
        self.head_width = self.width // self.heads
        self.neurons = first("n_inner", "intermediate_size") or 4 * self.width
        self.vocabulary = c["vocab_size"]
        self.parallel = c["model_type"] == "gpt_neox" and c.get("use_parallel_residual", True)
        self.sites = [s for s in SITES if not (self.parallel and s == "resid_mid")]

    def site_width(self, site):
        return {True: self.head_width, False: self.width}[site in HEAD_SITES] \
            if site != "mlp_post" else self.neurons

    def all_heads(self):
        return [f"L{layer}H{h}" for layer in range(self.layers) for h in range(self.heads)]

    def all_mlps(self):
        return [f"M{layer}" for layer in range(self.layers)]


def make_pair(rng, model, length, changed, clean=None):
    """Roles name each position, so that a role is a position."""
    if clean is None:
        clean = rng.integers(0, model.vocabulary, length).tolist()
    corrupted = list(clean)
    for i in changed:
        corrupted[i] = int((clean[i] + rng.integers(1, model.vocabulary)) % model.vocabulary)
    answer, foil = rng.choice(model.vocabulary, 2, replace=False).tolist()
    return {"clean": clean, "corrupted": corrupted, "answer": answer, "foil": foil,
            "roles": [f"p{i}" for i in range(length)]}


MIXED = ((7, [3]), (9, [0, 4]), (5, [4]), (6, []), (7, [1]))  # lengths, where the prompts differ
LAST_ONLY, NOTHING, NOT_LAST = 2, 3, [0, 1, 4]                # pairs of these


def write_tensor(path, name, values):
    values = np.ascontiguousarray(values, "<f4")
    header = json.dumps({name: {"dtype": "F32", "shape": list(values.shape),
                                "data_offsets": [0, values.nbytes]}}).encode()
    header += b" " * (-len(header) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(header)) + header + values.tobytes())
    return str(path)


class Run:
    """One run of the binary; sweeps by the names of its rows."""

    def __init__(self, temp, name, model, pairs, rows, save=(), readings=()):
        self.rows = list(rows.items())
        where = {key: Path(temp) / f"{name}.{key}" for key in ("jsonl", "yaml", "h5")}
        where["jsonl"].write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
        where["yaml"].write_text(json.dumps({
            "model": {"path": model.folder}, "pairs": str(where["jsonl"]),
            "sweep": [dict(row) for _, row in self.rows], "save": list(save),
            "readings": list(readings) or "none"}))
        done = subprocess.run([PATCHBAY, "run", "-q", "--threads", "1", str(where["yaml"]), "-o",
                               str(where["h5"])], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"exit status {done.returncode}: {done.stderr}")
        self.file = h5py.File(where["h5"], "r")
        groups = {int(g.partition("_")[0]): g for g in self.file["sweeps"]}
        self.groups = {key: groups[i] for i, (key, _) in enumerate(self.rows)}
        self.clean, self.corrupted = (self.file[f"base/{side}/logit_diff"][()]
                                      for side in ("clean", "corrupted"))
        self.quiet = QUIET * max(np.nanmax(np.abs(self.effect(key)), initial=0.0)
                                 for key in self.groups)

    def ld(self, key):
        return self.file[f"sweeps/{self.groups[key]}/logit_diff"][()]

    def recipient(self, key):
        """Logit differences of the recipients, shaped like the sweep's."""
        row = dict(self.rows)[key]
        donor = row.get("intervention", "patch") in ("patch", "project", "control", "path")
        base = self.corrupted if row.get("direction", "denoise" if donor else "noise") == \
            "denoise" else self.clean
        return base.reshape(-1, *[1] * (self.ld(key).ndim - 1))

    def effect(self, key):
        return self.ld(key) - self.recipient(key)

    def unit(self, *keys):
        """The largest effect among sweeps."""
        return max([self.quiet] + [np.nanmax(np.abs(self.effect(k)), initial=0.0) for k in keys])

    def summary(self, key, name):
        return self.file[f"sweeps/{self.groups[key]}/summary/{name}"][()]


# ---- one run of many sweeps ----------------------------------------------------------------------

def site_rows(model, rows):
    """For each site: patched, at the last position alone, scaled by 0 and 1, zeroed."""
    for i, site in enumerate(model.sites):
        somewhere = {"site": site, "positions": ("all", "each", "last")[i % 3],
                     "direction": ("denoise", "noise")[i % 2]}
        rows[f"patch {site}"] = {"site": site}
        rows[f"last {site}"] = {"site": site, "positions": "last"}
        rows[f"zero {site}"] = {"intervention": "zero", **somewhere}
        rows[f"scale {site}"] = {"intervention": "scale", "alpha": [0, 1], **somewhere}


def check_sites(check, model, run):
    for site in model.sites:
        patch = run.ld(f"patch {site}")
        check.same(f"{site}: a donor that is the recipient changes nothing", patch[NOTHING],
                   run.corrupted[NOTHING])
        check.same(f"{site}: prompts that differ at the end alone: last is all",
                   patch[LAST_ONLY], run.ld(f"last {site}")[LAST_ONLY])
        scale = run.ld(f"scale {site}")
        check.same(f"{site}: scale 0 is zero", scale[:, 0], run.ld(f"zero {site}"))
        absent = np.isnan(run.ld(f"zero {site}"))
        check.same(f"{site}: scale 1 changes nothing", scale[:, 1],
                   np.where(absent, np.nan, run.recipient(f"zero {site}")))
        check(f"{site}: something happens", run.unit(f"patch {site}") > 10 * run.quiet or
              site == "pattern", f"{run.unit(f'patch {site}')}")


PART_SITES = "resid_pre q k pattern z mlp_post mlp_out resid_post".split()


def part_rows(model, rows):
    layers = sorted({0, model.layers - 1})
    for site in PART_SITES:
        heads = {"heads": [model.heads - 1]} if site in HEAD_SITES else {}
        rows[f"part {site}"] = {"site": site, "layers": layers, **heads}
    rows["neurons"] = {"site": "mlp_post", "layers": [model.layers - 1], "neurons": "all"}
    rows["two neurons"] = {"site": "mlp_post", "layers": [model.layers - 1],
                           "neurons": [1, model.neurons - 1]}
    rows["list z"] = {"site": "z", "positions": [-1]}
    rows["list pattern"] = {"site": "pattern", "positions": [-1]}
    rows["list k"] = {"site": "k", "positions": [3, 1, 5]}
    rows["roles k"] = {"site": "k", "positions": ["p1", "p5", "p3"]}
    rows["window 1"] = {"site": "z", "window": 1}
    rows["window of all layers"] = {"site": "z", "window": 2 * model.layers - 1}


def check_parts(check, model, run):
    layers = sorted({0, model.layers - 1})
    for site in PART_SITES:
        whole = run.ld(f"patch {site}")[:, layers]
        check.same(f"{site}: part of the grid", run.ld(f"part {site}"),
                   whole[:, :, -1:] if site in HEAD_SITES else whole)
    check.same("part of the neurons", run.ld("two neurons")[..., [0, 1]],
               run.ld("neurons")[..., [1, -1]])
    check.same("z: position -1 is last", run.ld("list z"), run.ld("last z"))
    check.same("pattern: position -1 is last", run.ld("list pattern"), run.ld("last pattern"))
    check.same("roles are positions", run.ld("roles k"), run.ld("list k"))
    check.same("a window of one layer is none", run.ld("window 1"), run.ld("patch z"))
    columns = run.ld("sets")[:, :model.heads, None].swapaxes(1, 2)
    check.same("a window of all layers is a set of them", run.ld("window of all layers"), columns)


def post_rows(model, rows, temp):
    """resid_post of a layer beside resid_pre of the next. With `layers` it is computed by itself."""
    vector = np.random.default_rng(3).normal(size=(model.layers, model.width))
    shifted = np.roll(vector, 1, axis=0)
    every = {"layers": list(range(model.layers))}
    kinds = {"patch": {}, "zero": {}, "each": {"positions": "each", "direction": "noise"},
             "resample": {"intervention": "resample"},
             "mean": {"intervention": "mean", "reference": {"over": "corrupted", "by": "role"}},
             "add": {"intervention": "add"}}
    kinds["zero"] = {"intervention": "zero", "positions": "last"}
    for name, row in kinds.items():
        for site, values in (("resid_pre", shifted), ("resid_post", vector)):
            vector_file = {"vector": write_tensor(f"{temp}/{site}.safetensors", "vector", values)} \
                if name == "add" else {}
            rows[f"{site} {name}"] = {"site": site, **row, **vector_file, **every}
    rows["copied"] = {"site": "resid_post", "positions": "each"}
    rows["copied from"] = {"site": "resid_pre", "positions": "each"}
    rows["not copied"] = {"site": "resid_post", "positions": "each", **every}
    return kinds


def check_post(check, run, kinds):
    for name in kinds:
        check.same(f"{name}: resid_post is resid_pre of the next layer",
                   run.ld(f"resid_post {name}")[:, :-1], run.ld(f"resid_pre {name}")[:, 1:])
    check.same("resid_post that stands beside resid_pre", run.ld("copied"), run.ld("not copied"))
    check.same("resid_pre that it stands beside", run.ld("copied")[:, :-1],
               run.ld("copied from")[:, 1:])


def set_rows(model, rows):
    heads, mlps = model.all_heads(), model.all_mlps()
    sets = {f"column{h}": [f"L{layer}H{h}" for layer in range(model.layers)]
            for h in range(model.heads)}
    sets.update({f"one{label}": [label] for label in heads + mlps})
    sets["everything"] = heads + mlps
    rows["sets"] = {"sets": sets}
    for name, row in (("patched", {}), ("zeroed", {"intervention": "zero"})):
        rows[f"nothing {name}"] = {**row, "complement": True, "sets": {"all": heads + mlps}}
        rows[f"no heads {name}"] = {**row, "complement": True, "sets": {"all": heads}}
    if len(heads) <= 16:
        rows["pairs"] = {"sets": {"pairs": "all"}}
    rows["scaled sets"] = {"intervention": "scale", "alpha": [0, 1], "sets": {
        "heads": heads, "mixed": [heads[0], "M0", heads[-1]]}}
    rows["zeroed sets"] = {"intervention": "zero", "sets": rows["scaled sets"]["sets"]}


def check_sets(check, model, run):
    n, ld = model.layers * model.heads, run.ld("sets")
    singles = ld[:, model.heads:model.heads + n]
    check.same("a set of one head is the head", singles,
               run.ld("patch z").reshape(len(ld), -1))
    check.same("a set of one MLP is the MLP", ld[:, model.heads + n:-1], run.ld("patch mlp_out"))
    check.close("all heads and MLPs together give the donor, where the last token is the same",
                ld[NOT_LAST, -1], run.clean[NOT_LAST], run.unit("sets"))
    for key in ("nothing patched", "nothing zeroed", "no heads patched", "no heads zeroed"):
        check.same(f"{key}: the complement of everything", run.ld(key), run.recipient(key))
    check.same("sets: scale 0 is zero", run.ld("scaled sets")[:, 0], run.ld("zeroed sets"))
    check.same("sets: scale 1 changes nothing", run.ld("scaled sets")[:, 1],
               np.repeat(run.recipient("zeroed sets"), 2, 1))
    # what replaces is not what adds: the sum of what each head of a column does alone is another
    sums = run.effect("patch z").sum(1)
    check("a set is not the sum of its heads",
          np.nanmax(np.abs(run.effect("sets")[:, :model.heads] - sums)) >
          TOLERANCE * run.unit("sets"))
    if "pairs" in run.groups:
        check_pairs(check, run, n)


def check_pairs(check, run, n):
    effect, got = run.effect("pairs"), run.summary("pairs", "interaction")
    expected = np.full(got.shape, np.nan)
    k = n
    for a in range(n):
        for b in range(a + 1, n):
            expected[k] = (effect[:, k] - effect[:, a] - effect[:, b]).mean()
            k += 1
    check("pairs: every pair is there", k == len(got), f"{k} of {len(got)}")
    off = np.nanmax(np.abs(got - expected), initial=0.0)
    check("pairs: interaction is both less the two single ones",
          np.array_equal(np.isnan(got), np.isnan(expected)) and off <= 1e-12 * run.unit("pairs"),
          f"off by {off}")
    check.same("pairs: the single ones are the heads", run.ld("pairs")[:, :n],
               run.ld("patch z").reshape(len(effect), -1))


SOURCE_SITES = "embed resid_pre q k z attn_out mlp_post mlp_out resid_post".split()


def source_rows(model, rows, temp):
    """Vectors that add nothing; subspaces that are everything, or one neuron."""
    rng = np.random.default_rng(4)
    for site in SOURCE_SITES:
        width, file = model.site_width(site), f"{temp}/{site}"
        rows[f"project {site}"] = {"intervention": "project", "site": site, "subspace":
                                   write_tensor(file + ".subspace", "subspace",
                                                rng.normal(size=(width, width)) + 3 * np.eye(width))}
        rows[f"add {site}"] = {"intervention": "add", "site": site, "alpha": [0, 0.5],
                               "positions": [1, -1],  # the same vector on all keys is no change
                               "vector": write_tensor(file + ".vector", "vector",
                                                      rng.normal(size=width))}
    rows["add no vector"] = {"intervention": "add", "site": "z",
                             "vector": write_tensor(f"{temp}/none", "vector",
                                                    np.zeros(model.head_width))}
    axis = np.zeros((1, model.neurons))
    axis[0, 1] = 2.0
    rows["project one neuron"] = {"intervention": "project", "site": "mlp_post",
                                  "layers": [model.layers - 1],
                                  "subspace": write_tensor(f"{temp}/axis", "subspace", axis)}


def check_sources(check, run):
    for site in SOURCE_SITES:
        check.close(f"{site}: projecting on everything is patching", run.ld(f"project {site}"),
                    run.ld(f"patch {site}"), run.unit(f"patch {site}"))
        added = run.ld(f"add {site}")
        check.same(f"{site}: adding 0 times a vector changes nothing", added[:, 0],
                   run.clean.reshape(-1, *[1] * (added.ndim - 2)))
        check(f"{site}: adding half of it does", run.unit(f"add {site}") > run.quiet)
    check.same("adding a vector of zeros changes nothing", run.ld("add no vector"),
               run.recipient("add no vector"))
    check.close("projecting on one neuron's axis is patching the neuron",
                run.ld("project one neuron")[:, 0], run.ld("neurons")[:, 0, 1],
                run.unit("patch mlp_post"))


def path_rows(model, rows):
    last = model.layers - 1
    label = f"L{last}H{model.heads - 1}"
    for sender in ("head", "mlp", "embed"):
        for freeze in ("all", "attention"):
            rows[f"{sender} to logits {freeze}"] = {"intervention": "path", "sender": sender,
                                                    "receiver": "logits", "freeze": freeze}
    for receiver in ("q", "k", "v", "mlp"):
        rows[f"embed to {receiver}"] = {"intervention": "path", "sender": "embed",
                                        "receiver": receiver}
    rows["head to q"] = {"intervention": "path", "sender": "head", "receiver": "q"}
    rows["part of head to q"] = {"intervention": "path", "sender": "head", "receiver": "q",
                                 "layers": [0], "heads": [model.heads - 1],
                                 "receiver_layers": [last], "receiver_heads": [0]}
    rows["head to one q"] = {"intervention": "path", "sender": "head", "receiver": [label + ".q"]}
    rows["head to only logits"] = {"intervention": "path", "sender": "head",
                                   "receiver": ["logits"]}


def direct_effect(model, run):
    """LD of every last-layer head's change carried to the logits by itself, in float64."""
    m, ld = NumpyModel(model.folder), []
    saved = {side: {site: run.file[f"activations/{side}/{site}"][:, -1].astype(np.float64)
                    for site in ("z", "resid_post")} for side in ("clean", "corrupted")}
    weight = m.layers[-1]["out"][0].reshape(model.heads, model.head_width, -1)
    for p, length in enumerate(run.file["pairs/length"][()]):
        i = length - 1
        change = saved["clean"]["z"][p, :, i] - saved["corrupted"]["z"][p, :, i]
        x = saved["corrupted"]["resid_post"][p, i] + np.einsum("hk,hkd->hd", change, weight)
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + m.eps) * m.final[0] + m.final[1]
        answer, foil = (run.file[f"pairs/{t}_token"][p] for t in ("answer", "foil"))
        ld.append(x @ (m.unembed[:, answer] - m.unembed[:, foil]))
    return np.stack(ld)


def check_paths(check, model, run):
    logits, last = run.ld("head to logits all"), model.layers - 1
    unit = run.unit("patch z", "patch mlp_out")
    check.close("a last-layer head reaches the logits directly", logits[:, last],
                direct_effect(model, run), unit)
    check.close("with all but the MLPs frozen it does what patching it does",
                (run.ld("head to logits attention") if not model.parallel else logits)[:, last],
                run.ld("patch z")[:, last], unit)
    for freeze in ("all", "attention"):
        check.close(f"the last MLP's path to the logits, freeze {freeze}, is the MLP's patch",
                    run.ld(f"mlp to logits {freeze}")[:, last], run.ld("patch mlp_out")[:, last],
                    unit)
    same_end = [*NOT_LAST, NOTHING]
    check.same("the embedding reaches the logits at the last token alone",
               run.ld("embed to logits all")[same_end], run.corrupted[same_end])
    check("and there it does", abs(run.effect("embed to logits all")[LAST_ONLY]) > run.quiet)
    for receiver in ("q", "k", "v"):
        check.close(f"what the first layer's {receiver} read is the embedding alone",
                    run.ld(f"embed to {receiver}")[:, 0], run.ld(f"patch {receiver}")[:, 0],
                    run.unit(f"patch {receiver}"))
    if model.parallel:
        check.close("and so is what the first MLP of a parallel block reads",
                    run.ld("embed to mlp")[:, 0], run.ld("patch mlp_post")[:, 0],
                    run.unit("patch mlp_post"))
    check.same("part of the paths", run.ld("part of head to q").ravel(),
               run.ld("head to q")[:, 0, -1, last, 0])
    check.same("a set of one receiver is the receiver", run.ld("head to one q"),
               run.ld("head to q")[:, :, :, last, -1])
    check.same("so is the set of the logits", run.ld("head to only logits"), logits)
    for key in run.groups:
        if run.groups[key].split("_")[1] == "path":
            ld = run.ld(key)[NOTHING]
            check.same(f"{key}: a donor that is the recipient changes nothing", ld,
                       np.where(np.isnan(ld), np.nan, run.corrupted[NOTHING]))


CONTROL_SITES = "resid_pre q z mlp_post".split()


def control_rows(rows):
    for i, site in enumerate(CONTROL_SITES):
        rows[f"control {site}"] = {"intervention": "control", "site": site, "seed": i,
                                   "direction": ("denoise", "noise")[i % 2]}
    rows["another seed"] = {"intervention": "control", "site": "z", "seed": 77}
    rows["the same seed"] = {"intervention": "control", "site": "z", "seed": 77, "layers": [0]}


def check_control(check, run):
    for site in CONTROL_SITES:
        noise = run.file[f"sweeps/{run.groups[f'control {site}']}/control"][()].astype(np.float64)
        clean, corrupted = (run.file[f"activations/{side}/{site}"][()].astype(np.float64)
                            for side in ("clean", "corrupted"))
        want = np.linalg.norm(clean - corrupted, axis=-1)
        got = np.where(np.isnan(want), np.nan, np.linalg.norm(noise, axis=-1))
        largest = np.nanmax(want)
        off = np.nanmax(np.abs(got - want))
        check(f"{site}: noise has the norm of donor - recipient",
              largest > 0 and off <= 1e-5 * largest, f"off by {off} of {largest}")
        check.same(f"{site}: and none where they do not differ", noise[NOTHING], 0.0)
    check("seeds are different noise", run.unit("another seed") > run.quiet and not np.array_equal(
        run.ld("another seed"), run.ld("control z")))
    check.same("noise does not depend on the part of the grid", run.ld("the same seed")[:, 0],
               run.ld("another seed")[:, 0])


def check_attributions(check, run):
    for side in ("clean", "corrupted"):
        total = 0.0
        for data in run.file[f"readings/direct_logit_attribution/{side}"].values():
            if data.name.rsplit("/", 1)[-1] in ("heads", "attn_bias", "mlp", "embed", "pos_embed",
                                                "bias"):
                total = total + data[()].reshape(len(run.clean), -1).sum(1)
        base = getattr(run, side)
        off = np.abs(total - base).max()
        check(f"{side}: attributions sum to the logit difference",
              off <= 1e-5 * max(1.0, np.abs(base).max()), f"off by {off}")


# ---- the pairs the other way round -----------------------------------------------------------------

TURNED = {"z": {"site": "z"}, "k each": {"site": "k", "positions": "each"},
          "pattern": {"site": "pattern", "positions": "last"},
          "path": {"intervention": "path", "sender": "head", "receiver": "logits",
                   "freeze": "attention"},
          "zero": {"intervention": "zero", "site": "v"},
          "sets": {"sets": {"a": ["L0H0", "M0", "L1H1"], "b": ["M1"]}}}


def turned_rows(direction):
    return {f"turned {key}": {**row, "direction": direction} for key, row in TURNED.items()}


def check_turned(check, run, turned):
    check.same("turned: clean base runs", run.clean, -turned.corrupted)
    check.same("turned: corrupted base runs", run.corrupted, -turned.clean)
    for key in turned.groups:
        check.same(f"{key}: every logit difference is the other's negative", turned.ld(key),
                   -run.ld(key))
        r, s = run.summary(key, "restoration"), turned.summary(key, "restoration")
        # denoise in one direction is noise in the other
        off = np.nanmax(np.abs(s - (1.0 - r)), initial=0.0)
        check(f"{key}: restoration r becomes 1 - r",
              np.array_equal(np.isnan(r), np.isnan(s)) and not np.isnan(r).all() and
              off <= 1e-9 * max(1.0, np.nanmax(np.abs(r))), f"off by {off}")


# ---- prompts that are all the same ---------------------------------------------------------------

def same_pairs(rng, model):
    first = make_pair(rng, model, 6, [2])
    return [first] + [make_pair(rng, model, 6, where, first["clean"])
                      for where in ([0], [5], [1, 4])]


def same_rows(model, pairs, temp):
    reference = Path(temp) / "reference.jsonl"
    reference.write_text(3 * (json.dumps({"prompt": pairs[0]["clean"]}) + "\n"))
    over = {"over": "clean", "by": "position"}
    rows = {}
    for i, site in enumerate(model.sites):
        word = {"positions": ("all", "last", "each")[i % 3]}
        rows[f"patch {site}"] = {"site": site, **word}
        rows[f"mean {site}"] = {"intervention": "mean", "site": site, "direction": "denoise",
                                "reference": over, **word}
        # the same prompt again, from a file or from another pair
        rows[f"own {site}"] = {"intervention": "resample", "site": site, **word} if i % 3 == 0 else \
            {"intervention": "mean", "site": site, **word,
             "reference": {"over": str(reference), "by": "position"}}
    rows["mean by role"] = {"intervention": "mean", "site": "z", "direction": "denoise",
                            "reference": {"over": "clean", "by": "role"}}
    rows["mean by position"] = {"intervention": "mean", "site": "z", "direction": "denoise",
                                "reference": over}
    return rows


def check_same(check, model, run):
    for site in model.sites:
        unit = run.unit(f"patch {site}")
        check.close(f"{site}: the mean over one prompt, again and again, is that prompt's value",
                    run.ld(f"mean {site}"), run.ld(f"patch {site}"), unit)
        key = f"own {site}"
        check.close(f"{key}: a prompt's own values change nothing", run.effect(key),
                    0.0 * run.ld(key), unit)
    check.same("roles that are positions have the same means", run.ld("mean by role"),
               run.ld("mean by position"))


# ---- all of it -----------------------------------------------------------------------------------

def check_model(folder):
    check = Checks(folder)
    try:
        check_runs(check, Model(folder))
    except RuntimeError as error:
        check("runs end well", False, str(error))
    return check


def check_runs(check, model):
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as temp:
        pairs = [make_pair(rng, model, *shape) for shape in MIXED]
        rows = {}
        site_rows(model, rows)
        part_rows(model, rows)
        kinds = post_rows(model, rows, temp)
        set_rows(model, rows)
        source_rows(model, rows, temp)
        path_rows(model, rows)
        control_rows(rows)
        rows.update(turned_rows("denoise"))
        save = ["control", *CONTROL_SITES, "resid_post"]
        run = Run(temp, "mixed", model, pairs, rows, save, ["direct_logit_attribution"])
        check_sites(check, model, run)
        check_parts(check, model, run)
        check_post(check, run, kinds)
        check_sets(check, model, run)
        check_sources(check, run)
        check_paths(check, model, run)
        check_control(check, run)
        check_attributions(check, run)

        swapped = [{**p, "clean": p["corrupted"], "corrupted": p["clean"], "answer": p["foil"],
                    "foil": p["answer"]} for p in pairs]
        check_turned(check, run, Run(temp, "turned", model, swapped, turned_rows("noise")))

        pairs = same_pairs(rng, model)
        check_same(check, model, Run(temp, "same", model, pairs, same_rows(model, pairs, temp)))


def main():
    folders = sys.argv[1:] or [
        *(str(p.parent) for p in sorted(Path("tests/golden/engine").glob("*/config.json"))),
        *(str(p.parent) for p in sorted(Path("tests/golden/sweeps").glob("*/config.json"))),
        "data/boxbench"]
    passed = failed = 0
    with ThreadPoolExecutor(min(2, len(os.sched_getaffinity(0)))) as pool:
        for check in pool.map(check_model, folders):
            print(f"{check.name}: {check.passed} hold, {len(check.lines)} do not")
            print("".join(f"  {line}\n" for line in check.lines), end="")
            passed, failed = passed + check.passed, failed + len(check.lines)
    print(f"{passed} passed, {failed} failed")
    return failed != 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main())
