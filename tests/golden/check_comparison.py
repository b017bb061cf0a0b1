#!/usr/bin/env python3
"""Open what `patchbay compare -o FILE --csv FILE` wrote the way users do (h5py, xarray with both of
its netCDF-4 engines) and compare it with the same figures worked out by numpy from the result files
that its `path` names. Exits with 1 and a message on the first defect.

    python3 check_comparison.py COMPARED.h5 COMPARED.csv
"""
import csv
import sys

import h5py
import numpy as np
import xarray as xr

import check_file
from check_file import Defect, close, require, text

MEASURES = ("effect_total top_1_share top_5_share top_10_share gini cells_for_50 cells_for_80 "
            "depth_centre").split()
N_RESAMPLES = 1000


# ---- the figures, by their definitions -------------------------------------------------------

def gini(x):
    """Half the mean difference of all pairs, relative to the mean."""
    return np.abs(x[:, None] - x[None, :]).mean() / (2 * x.mean())


def figures(mean, n_bins):
    """mean: (layer, head) mean effects."""
    size = np.abs(mean)
    falling = np.sort(size, axis=None)[::-1]
    total = falling.sum()
    reached = np.cumsum(falling)
    depth = (np.arange(len(size)) + 0.5) / len(size)
    edges = np.linspace(0, 1, n_bins + 1)
    # the total below a depth, piecewise linear in it
    below = np.concatenate([[0], np.cumsum(size.sum(1))])
    profile = np.diff(np.interp(edges, np.linspace(0, 1, len(size) + 1), below)) / total
    values = [total, falling[0] / total, falling[:5].sum() / total, falling[:10].sum() / total,
              gini(falling)]
    values += [1 + int(np.argmax(reached >= q * total * (1 - 1e-12))) for q in (0.5, 0.8)]
    return np.array(values + [(depth * size.sum(1)).sum() / total]), profile


def effects_of(file, sweep, by):
    """(pair, layer, head), NaN rows where a pair has none."""
    values = file[sweep]["logit_diff"][...]
    values = values.reshape(values.shape + (1,) * (3 - values.ndim))
    clean, corrupted = (file["base"][s]["logit_diff"][...][:, None, None]
                        for s in ("clean", "corrupted"))
    noise = file[sweep].attrs["direction"] == "noise"
    if by == "effect":
        return values - (clean if noise else corrupted)
    gap = clean - corrupted
    effects = (values - corrupted) / gap - (1 if noise else 0)
    effects[np.abs(gap[:, 0, 0]) < file[sweep].attrs["min_gap"]] = np.nan
    return effects


def intervals(effects, n_bins):
    """Rough ones, by another generator of random numbers: (figure, end)."""
    rng = np.random.default_rng(1)
    drawn = rng.integers(len(effects), size=(N_RESAMPLES, len(effects)))
    rows = [np.concatenate(figures(np.nanmean(effects[d], axis=0), n_bins)) for d in drawn]
    return np.percentile(rows, [2.5, 97.5], axis=0).T


def check_interval(what, value, low, high, expected):
    require(low <= high, what, "interval is reversed")
    width = max(high - low, expected[1] - expected[0])
    # 1000 resamples leave about 2% of the width to chance; counts are whole numbers
    slack = max(0.15 * width, 1 if "cells_for" in what else 0, 1e-9)
    require(abs(low - expected[0]) <= slack and abs(high - expected[1]) <= slack,
            what, "interval", (low, high), "not about", tuple(expected))
    require(np.isfinite(value), what, "is", value)


# ---- HDF5 ------------------------------------------------------------------------------------

def sweep_of(file, words):
    names = [n for n in file["sweeps"] if n.split("_", 1)[1] == words]
    require(len(names) == 1, "no sweep", words)
    return "sweeps/" + names[0]


def check_subset(group, i, effects, suffix, n_bins):
    mean = np.nanmean(effects, axis=0)
    values, profile = figures(mean, n_bins)
    expected = intervals(effects[~np.isnan(effects[:, 0, 0])], n_bins)
    require(int(group["n_cells" + suffix][i]) == mean.size, "n_cells" + suffix)
    scale = max(1.0, np.abs(effects[np.isfinite(effects)]).max())
    for k, name in enumerate(MEASURES):
        found = [group[name + end + suffix][i] for end in ("", "_ci_low", "_ci_high")]
        require(close(found[0], values[k], 1e-10 * scale), name + suffix, found[0], values[k])
        check_interval(name + suffix, *found, expected[k])
    share = [group["depth_share" + end + suffix][i] for end in ("", "_ci_low", "_ci_high")]
    require(close(share[0], profile, 1e-10), "depth_share" + suffix)
    require(close(share[0].sum(), 1, 1e-12), "depth_share" + suffix, "does not sum to 1")
    for b in range(n_bins):
        check_interval("depth_share" + suffix, *(s[b] for s in share),
                       expected[len(MEASURES) + b])
    return mean


def check_top(group, i, mean, summary, suffix, by, shift):
    order = np.argsort(-np.abs(mean), axis=None, kind="stable")
    names = {"effect": ("effect", "ci_low", "ci_high"),
             "restoration": ("restoration", "restoration_ci_low", "restoration_ci_high")}[by]
    effects = group["top_effect" + suffix][i]
    n = int(np.sum(np.isfinite(effects)))
    require(n == min(len(effects), mean.size), "top" + suffix, "has", n)
    past = [group[name + suffix][i, n:] for name in ("top_layer", "top_head", "top_depth")]
    require(np.all(past[0] == -1) and np.all(past[1] == -1) and np.all(np.isnan(past[2])) and
            set(text(group["top_label" + suffix][i, n:])) <= {""}, "ranks that are not there")
    for rank in range(n):
        layer, head = np.unravel_index(order[rank], mean.shape)
        has_heads = summary[names[0]].ndim == 2
        require(group["top_layer" + suffix][i, rank] == layer, "top_layer" + suffix)
        require(group["top_head" + suffix][i, rank] == (head if has_heads else -1), "top_head")
        require(close(group["top_depth" + suffix][i, rank], (layer + 0.5) / len(mean), 1e-15),
                "top_depth")
        at = (layer, head) if has_heads else (layer,)
        for name, end in zip(names, ("", "_ci_low", "_ci_high")):
            require(group["top_effect" + end + suffix][i, rank] ==
                    summary[name + suffix][at] + shift, "top_effect" + end + suffix)
        label = text(group["top_label" + suffix][i, rank:rank + 1])[0]
        require(label == ("L%dH%d" % (layer, head) if has_heads else "M%d" % layer), label)


def check_input(group, i, path, words, by):
    n_bins = len(group["bin"])
    with h5py.File(path, "r") as file:
        sweep = sweep_of(file, words)
        right = file["pairs/right"][...] == 1
        for name, expected in (("n_layers", file["layer"].shape[0]),
                               ("n_heads", file["head"].shape[0]),
                               ("n_pairs", len(right)), ("n_right", right.sum()),
                               ("right_share", right.mean()),
                               ("clean_accuracy", (file["base/clean/rank_answer"][...] == 0).mean()),
                               ("clean_logit_diff", file["base/clean/logit_diff"][...].mean()),
                               ("corrupted_logit_diff",
                                file["base/corrupted/logit_diff"][...].mean())):
            require(close(group[name][i], expected, 1e-12 * max(1, abs(expected))), name)
        for name in ("family", "precision", "model_sha256", "pairs_sha256", "experiment_sha256"):
            require(text(group[name][i:i + 1])[0] == file.attrs[name], name)
        effects = effects_of(file, sweep, by)
        shift = -1 if by == "restoration" and file[sweep].attrs["direction"] == "noise" else 0
        for subset, suffix in ((slice(None), ""), (right, "_right")):
            mean = check_subset(group, i, effects[subset], suffix, n_bins)
            check_top(group, i, mean, file[sweep]["summary"], suffix, by, shift)


def check_h5py(path):
    with h5py.File(path, "r") as file:
        require(file.attrs["complete"] == 1 and file.attrs["comparison_version"] == 1, "version")
        found = check_file.datasets(file)
        for name, data in found.items():
            check_file.check_dataset(file, name, data)
        check_file.check_checksums(file, found)
        group = file["comparison"]
        require(list(group["rank"]) == list(range(1, len(group["rank"]) + 1)), "ranks")
        edges = np.linspace(0, 1, len(group["bin"]) + 1)
        require(close(group["depth_low"], edges[:-1], 1e-15) and
                close(group["depth_high"], edges[1:], 1e-15), "bins")
        unit = "logit" if group.attrs["by"] == "effect" else "1"
        for name in ("effect_total", "top_effect_ci_low_right"):
            require(group[name].attrs["units"] == unit, name, "unit")
        for i, name in enumerate(text(group["path"][...])):
            check_input(group, i, name, group.attrs["sweep"], group.attrs["by"])
    return len(found)


def check_xarray(path, engine):
    with h5py.File(path, "r") as file:
        expected = {n: ((n,) if h5py.h5ds.is_scale(d.id) else check_file.dims_of(d),
                        check_file.seen(d)) for n, d in file["comparison"].items()}
    with xr.open_dataset(path, group="comparison", engine=engine) as ds:
        check_file.check_group(ds, "comparison", engine, expected)
        require({"model", "revision", "n_layers", "n_heads"} <= set(ds.coords), engine,
                "coordinates", list(ds.coords))
        require(ds["gini"].dims == ("file",) and ds["depth_share"].dims == ("file", "bin") and
                ds["top_effect"].dims == ("file", "rank"), engine, "dimensions")
        ds["gini"].swap_dims(file="n_layers")


# ---- CSV -------------------------------------------------------------------------------------

def check_csv(path, compared):
    with h5py.File(compared, "r") as file, open(path, newline="", encoding="utf-8") as lines:
        group = file["comparison"]
        names = [text(group[n][...]) for n in ("path", "model", "revision")]
        rows = list(csv.DictReader(lines))
        require(list(rows[0]) == "file model revision measure bin rank layer head value ci_low "
                "ci_high".split(), "columns of the CSV")
        seen = set()
        for row in rows:
            i = names[0].index(row["file"])
            require((row["model"], row["revision"]) == (names[1][i], names[2][i]), row)
            at = (i,)
            if row["bin"] != "":
                at += (int(row["bin"]),)
            if row["rank"] != "":
                at += (int(row["rank"]) - 1,)
            require((row["measure"],) + at not in seen, row, "twice")
            seen.add((row["measure"],) + at)
            check_row(group, row, at)
        # of files with fewer cells than ranks there are no lines
        n = sum(np.isfinite(group[m][...]).sum() for m in {r["measure"] for r in rows})
        require(len(seen) == n, "the CSV has", len(seen), "figures of", n)


def check_row(group, row, at):
    base, suffix = row["measure"], ""
    if base.endswith("_right") and base != "n_right":
        base, suffix = base[:-6], "_right"
    require(float(row["value"]) == float(group[base + suffix][at]), row)
    for end in ("ci_low", "ci_high"):
        name = "%s_%s%s" % (base, end, suffix)
        require((row[end] != "") == (name in group), row)
        require(row[end] == "" or float(row[end]) == group[name][at], row)
    if row["rank"] != "":
        require(int(row["layer"]) == group["top_layer" + suffix][at], row)
        require(int(row["head"] or -1) == group["top_head" + suffix][at], row)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        n = check_h5py(sys.argv[1])
        for engine in ("h5netcdf", "netcdf4"):
            check_xarray(sys.argv[1], engine)
        check_csv(sys.argv[2], sys.argv[1])
    except Defect as defect:
        sys.exit("%s: %s" % (sys.argv[1], defect))
    print("%s: %d datasets, right by h5py, by xarray (h5netcdf, netcdf4) and in CSV" %
          (sys.argv[1], n))


if __name__ == "__main__":
    main()
