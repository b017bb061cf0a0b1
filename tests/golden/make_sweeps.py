"""Make the goldens of the sweeps: every site, intervention, direction and kind of positions, sets,
windows and paths, on tiny random models of each block form.

    python tests/golden/make_sweeps.py [MODEL...]
    (needs torch, transformers, safetensors, h5py, PyYAML)

Writes tests/golden/sweeps/<model>/: config.json, model.safetensors; vectors and subspaces; the runs
mixed (pairs of several lengths, with roles) and equal (pairs of one length, which means by position
need), each as NAME.jsonl, NAME.yaml and NAME.h5; and the run readings, of the pairs of mixed. The
same versions of the packages give the same files, byte for byte.

NAME.h5: base/{clean,corrupted} [pair]; <group of the sweep> [pair, axes], the logit difference of
every variant, NaN where the cell does not exist; float64; `means/<group>` where the sweep takes
means, `resample/<group>` where it takes other pairs; `readings/...` as in the result file, with
NAME_low and NAME_high of counts when logits are off by a little; `activations/...`;
`control/<group>`, the noise, where a run stores it.
"""
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import torch
import yaml

import engine_models as em
from engine_reference import inv_freq_of, load
from readings_reference import Readings
from sweep_cases import (MODELS, equal_pairs, equal_rows, mixed_pairs, part_rows, path_rows,
                         set_rows, site_rows, some_roles, write_vectors)
from sweep_hooks import HookedModel
from sweep_numpy import NumpySites
from sweep_random import resample_pair
from sweep_reference import SIDES, SweepReference
from sweep_rows import read_rows

ROOT = Path(__file__).resolve().parents[2]
SWEEPS = Path("tests/golden/sweeps")  # the YAML names it so: runs start at the repository's root
AGREEMENT = 1e-10  # between the two float64 references, relative to the largest effect


def row_line(row):
    return yaml.safe_dump(row, default_flow_style=True, sort_keys=False, width=10 ** 6).strip()


def write_run(path, folder, pairs, rows, readings="none", save=()):
    Path(path).write_text(
        f"model: {{path: {folder}}}\npairs: {folder}/{pairs}.jsonl\nsweep:\n"
        + "".join(f"  - {row_line(row)}\n" for row in rows)
        + f"metrics: [logit_diff]\nreadings: {readings}\nsave: [{', '.join(save)}]\n")


# ---- all of it -----------------------------------------------------------------------------------

def stored_mean(reference, row):
    """As the result file has it: [layer, index, slot, width], roles in order of appearance; None
    where the row writes no head at all (sets of MLPs)."""
    if row.sets is not None and not writes_heads(reference, row):
        return None
    layers = range(1 if row.site == "embed" else reference.model.n_layers)
    means = [reference.means(row, row.site, i) for i in layers]
    if row.by == "role":
        means = [np.stack(list(m.values()), 1) for m in means]
    elif row.by == "overall":
        means = [m[:, None] for m in means]
    else:
        means = [m.swapaxes(0, 1) for m in means]
    return np.stack(means)


def writes_heads(reference, row):
    """Whether any set (or its complement) has a head."""
    sets = reference.sets(row)
    return any(site != "mlp_out" for n in range(len(sets))
               for site, _, _ in reference.members(row, {"set": n}, sets))


def stored_noise(reference, row):
    """As the result file has it: [pair, layer, index, position, width], 0 past a prompt's end; None
    where the row writes no head at all (sets of MLPs)."""
    if row.sets is not None and not writes_heads(reference, row):
        return None
    layers = range(1 if row.site == "embed" else reference.model.n_layers)
    noise = [[reference.noise(row, b, row.site, i).swapaxes(0, 1) for i in layers]
             for b in range(len(reference.pairs))]
    n_index, _, width = noise[0][0].shape
    out = np.zeros((len(noise), len(layers), n_index, reference.max_length, width), np.float32)
    for b, per_layer in enumerate(noise):
        for i, value in enumerate(per_layer):
            out[b, i, :, :value.shape[1]] = value
    return out


def activations(reference, side, site):
    """[pair, layer, index, position, width] (pattern: query and key position), NaN past a prompt's
    end, in float32."""
    layers, longest = range(1 if site == "embed" else reference.model.n_layers), \
        reference.max_length
    values = [[reference.values(b, side, site, i).swapaxes(0, 1) for i in layers]
              for b in range(len(reference.pairs))]
    width = longest if site == "pattern" else values[0][0].shape[-1]
    out = np.full((len(values), len(layers), len(values[0][0]), longest, width), np.nan, np.float32)
    for b, per_layer in enumerate(values):
        for i, value in enumerate(per_layer):
            out[b, i, :, :value.shape[1], :value.shape[2]] = value
    return out


def effects(reference, row, values):
    base = reference.base_differences(row.recipient)
    return values - base.reshape(-1, *[1] * (values.ndim - 1))


def check_sample(reference, second, row, expected, rng, n_samples=3):
    """A few cells again with the numpy forward; the worst deviation."""
    there = np.argwhere(~np.isnan(expected))
    if not len(there):
        return 0.0
    chosen = {tuple(i) for i in there[rng.integers(len(there), size=n_samples)]}
    count = -1

    def only(b, cell):
        nonlocal count
        count += 1
        return np.unravel_index(count, expected.shape) in chosen

    got = second.expected(row, only=only)
    worst = max(abs(got[i] - expected[i]) for i in chosen)
    if not worst <= AGREEMENT * np.abs(second.base[0]["clean"][0]).max():
        raise AssertionError(f"{row.name}: transformers and numpy differ by {worst:.3g}")
    return worst


def compute(folder, name, pairs, rng):
    """{dataset: values} of one run, and what to say of it."""
    config = yaml.safe_load((folder / f"{name}.yaml").read_text())
    model = load(folder)
    weights = NumpySites(folder, inv_freq_of(model))
    reference, second = (SweepReference(m, pairs) for m in (HookedModel(model), weights))
    out = {f"base/{side}": reference.base_differences(side) for side in SIDES}
    worst, quiet = 0.0, []
    for row in read_rows(config):
        values = reference.expected(row)
        worst = max(worst, check_sample(reference, second, row, values, rng))
        largest = np.nanmax(np.abs(effects(reference, row, values)))
        if not 1e-2 <= largest <= 100.0:
            quiet.append(f"{row.name}: {largest:.2g}")
        out[row.name] = values
        if row.intervention == "mean":
            out["means/" + row.name] = stored_mean(reference, row)
        if row.intervention == "control" and "control" in config["save"]:
            out["control/" + row.name] = stored_noise(reference, row)
        if row.intervention == "resample":
            out["resample/" + row.name] = np.array(
                [resample_pair(reference.lengths, row.seed, b) for b in range(len(pairs))])
    if config["readings"] != "none":
        found = Readings(reference, weights).all(model.config.max_position_embeddings)
        out.update({"readings/" + key: values for key, values in found.items()})
    for site in [s for s in config["save"] if s != "control"]:
        out.update({f"activations/{side}/{site}": activations(reference, side, site)
                    for side in SIDES})
    return out, worst, quiet


def write_expected(path, results):
    """One HDF5 file without anything that changes from run to run."""
    with h5py.File(path, "w", libver=("v108", "v108")) as file:
        for name, values in sorted(results.items()):
            options = {"compression": "gzip", "compression_opts": 9, "shuffle": True} \
                if values.nbytes > 8192 else {}
            file.create_dataset(name, data=values, **options)


def make(name, spec):
    where = SWEEPS / name  # as the YAML names files; the script runs at the repository's root
    shutil.rmtree(where, ignore_errors=True)
    em.make_model(where, spec["family"], spec["config"], spec["seed"], gain=spec["gain"])
    em.rewrite_config(where, lambda c: c)
    rng = np.random.default_rng(1000 + spec["seed"])
    model = HookedModel(load(where))
    write_vectors(where, rng, model)
    n_vocab, n = spec["config"]["vocab_size"], list(MODELS).index(name)
    sites = [s for s in model.sites() if s != "mlp_pre"]
    pairs = {"mixed": mixed_pairs(rng, n_vocab), "equal": equal_pairs(rng, n_vocab)}
    em.write_pairs(where / "reference.jsonl", [
        {"prompt": rng.integers(n_vocab, size=k).tolist(), "roles": some_roles(rng, k)}
        for k in (4, 8)])
    em.write_pairs(where / "reference_equal.jsonl", [
        {"clean": rng.integers(n_vocab, size=6).tolist()} for _ in range(2)])
    heads, layers = model.n_heads, model.n_layers
    sets, paths = list(set_rows(heads, layers)), list(path_rows(heads, layers, n))
    if n % 2:  # half of these is on two models only: the run is to take seconds
        sets = sets[n // 2::2]
        paths = [p for i, p in enumerate(paths) if (i + i // 2) % 2 == n // 2]  # both freezes
    rows = {"mixed": [*site_rows(where, sites, n), *part_rows(model.parallel, heads, layers),
                      *sets, *paths],
            "equal": list(equal_rows(where, sites))}
    for run in pairs:
        em.write_pairs(where / f"{run}.jsonl", pairs[run])
        write_run(where / f"{run}.yaml", where, run, rows[run])
    pairs["readings"], rows["readings"] = pairs["mixed"], [
        {"intervention": "control", "site": site, "positions": positions, "seed": n}
        for site, positions in (("z", "last"), ("resid_post", "each"))]
    write_run(where / "readings.yaml", where, "mixed", rows["readings"], "all",
              {"gpt2": ("embed", "q_rot", "pattern", "z", "control"),
               "gpt_neox_sequential": ("resid_mid", "k_rot")}.get(name, ()))
    for run, its_pairs in pairs.items():
        results, worst, quiet = compute(where, run, its_pairs, rng)
        write_expected(where / f"{run}.h5", results)
        cells = sum(values.size for values in results.values())
        print(f"{name} {run}: {len(rows[run])} sweeps, {cells} cells, numpy agrees to {worst:.2g}"
              + "".join(f"\n  largest effect of {line}" for line in quiet), flush=True)
    print(f"{name}: {sum(f.stat().st_size for f in where.iterdir())} bytes", flush=True)


def main():
    torch.manual_seed(0)
    for name in sys.argv[1:] or list(MODELS):
        make(name, MODELS[name])


if __name__ == "__main__":
    main()
