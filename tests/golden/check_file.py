#!/usr/bin/env python3
"""Open result files the way users do (h5py, xarray with both of its netCDF-4 engines) and compare
what they hold with a plain re-computation. Exits with 1 and a message on the first defect.

    python3 check_file.py FILE...

Needs h5py, numpy and xarray with h5netcdf and netCDF4: Debian's python3-h5py python3-xarray
python3-h5netcdf python3-netcdf4, or the same from PyPI.
"""
import hashlib
import json
import sys

import h5py
import numpy as np
import xarray as xr

TEXT_ATTRIBUTES = ("title patchbay_version config command model_path model_sha256 pairs_sha256 "
                   "experiment_sha256 family backend device precision host started finished "
                   "git_commit").split()
SUMMARY = ("effect restoration restoration_of_means stderr ci_low ci_high p_value p_fwer q_bh "
           "n_pairs restoration_ci_low restoration_ci_high restoration_n_pairs").split()
BASE = ("logit_diff logit_answer logit_foil prob_answer prob_foil logprob_answer logprob_foil "
        "rank_answer rank_foil argmax").split()


class Defect(Exception):
    pass


def require(condition, *what):
    if not condition:
        raise Defect(" ".join(str(w) for w in what))


def close(a, b, tolerance):
    """Equal within a tolerance, NaN only where the other is NaN."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return a.shape == b.shape and bool(
        np.all((np.abs(a - b) <= tolerance) | (np.isnan(a) & np.isnan(b))))


def scale_above(file, prefix, name, item):
    """Whether a link is that of a group above: its scale, linked for readers."""
    while prefix != "/":
        prefix = prefix.rstrip("/").rsplit("/", 1)[0] + "/"
        if prefix + name in file and file[prefix + name] == item:
            return True
    return False


def datasets(file):
    """Every dataset once, scales by the name of the topmost group that has them."""
    found = {}

    def walk(group, prefix):
        for name in group:
            item = group[name]
            if isinstance(item, h5py.Group):
                walk(item, prefix + name + "/")
            elif not scale_above(file, prefix, name, item):
                found[prefix + name] = item
    walk(file, "/")
    return found


# ---- h5py ----------------------------------------------------------------------------------

def is_text(dataset):
    return h5py.check_string_dtype(dataset.dtype) is not None


def text(values):
    return [v.decode("utf-8") if isinstance(v, bytes) else v for v in np.ravel(values)]


def check_view(file, path, data):
    """A view shows a stored dataset of the same file, which has its name."""
    for source in data.virtual_sources():
        require(source.file_name == ".", path, "shows another file:", source.file_name)
        require(not file[source.dset_name].is_virtual and
                source.dset_name.rsplit("/", 1)[-1] == path.rsplit("/", 1)[-1],
                path, "shows", source.dset_name)


def check_dataset(file, path, data):
    require("long_name" in data.attrs, path, "has no long_name")
    if is_text(data):
        info = h5py.check_string_dtype(data.dtype)
        require(info.encoding == "utf-8" and info.length is None,
                path, "is not variable-length UTF-8")
    else:
        require("units" in data.attrs, path, "has no units")
        if data.is_virtual:
            check_view(file, path, data)
        elif data.ndim > 0:
            require(data.chunks is not None, path, "is not chunked")
            require(data.shuffle and data.compression == "gzip" and data.fletcher32,
                    path, "lacks shuffle, gzip or Fletcher32")
        plist = data.id.get_create_plist()
        require(plist.fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED,
                path, "has no fill value")
    if path.count("/") == 1:
        require(h5py.h5ds.is_scale(data.id), path, "at the root is not a dimension scale")
    if h5py.h5ds.is_scale(data.id):
        return
    for axis, dim in enumerate(data.dims):
        require(len(dim) == 1, path, "axis", axis, "has", len(dim), "scales")
        name = dim[0].name.rsplit("/", 1)[-1]
        require(dim[0].shape[0] == data.shape[axis], path, "scale", name, "is of another size")
        require(data.parent[name] == dim[0], path, name, "is not linked into its group")
    if not is_text(data) and data.dtype.kind == "f":
        require("_FillValue" in data.attrs, path, "has no _FillValue")
        mask_path = path + "_mask"
        mask = file[mask_path][...] == 1 if mask_path in file else np.zeros(data.shape, bool)
        require(mask.shape == data.shape, mask_path, "is of another shape")
        require(bool(np.all(np.isnan(data[...]) == mask)), path, "is NaN where its mask is not 1")


def sha256(data):
    if is_text(data):
        return hashlib.sha256(b"".join(t.encode() + b"\0" for t in text(data[...]))).hexdigest()
    return hashlib.sha256(np.ascontiguousarray(data[...]).tobytes()).hexdigest()


def check_checksums(file, found):
    paths = text(file["checks/sha256_path"][...])
    hashes = text(file["checks/sha256"][...])
    own = {"/checks/sha256", "/checks/sha256_path"}
    require(set(paths) == set(found) - own, "checksums are of",
            sorted(set(paths) ^ (set(found) - own)))
    for path, stored in zip(paths, hashes):
        require(sha256(found[path]) == stored, path, "has another SHA-256")


def check_h5py(path):
    with h5py.File(path, "r") as file:
        for name in TEXT_ATTRIBUTES:
            require(isinstance(file.attrs.get(name), str), "attribute", name, "is no text")
        require(file.attrs["complete"] == 1, "not complete")
        require(file.attrs["schema_version"] == 2, "another schema version")
        found = datasets(file)
        for name, data in found.items():
            check_dataset(file, name, data)
        check_checksums(file, found)
        check_pairs(file)
        for side in ("clean", "corrupted"):
            for name in BASE:
                require("base/%s/%s" % (side, name) in file, "missing", side, name)
        for name in file["sweeps"]:
            check_sweep(file, file["sweeps"][name])
            check_sets(file, file["sweeps"][name])
        check_readings(file)
        check_activations(file)
    return len(found)


def check_pairs(file):
    pairs = file["pairs"]
    length = pairs["length"][...]
    for name in ("clean_tokens", "corrupted_tokens"):
        tokens = pairs[name][...]
        past = np.arange(tokens.shape[1])[None, :] >= length[:, None]
        require(bool(np.all((tokens == -1) == past)), name, "is not -1 past the end alone")
    first = pairs["first_difference"][...]
    differ = pairs["clean_tokens"][...] != pairs["corrupted_tokens"][...]
    expected = np.where(differ.any(1), differ.argmax(1), length)
    require(bool(np.all(first == expected)), "first_difference is wrong")
    if "roles" in pairs:
        roles, names = pairs["roles"][...], text(pairs["role_name"][...])
        past = np.arange(roles.shape[1])[None, :] >= length[:, None]
        require(bool(np.all(roles[past] == -1)), "roles past the end")
        require(bool(np.all((roles >= -1) & (roles < len(names)))), "roles without a name")
        require(len(set(names)) == len(names), "a role's name twice")
    for extra in text(pairs["extra"][...]):
        extra = json.loads(extra)
        require(isinstance(extra, dict), "extra is not a JSON object")
        require("task" not in extra or "roles" in pairs, "a task's pairs without roles")
    for name in ("clean_text", "corrupted_text", "answer_text", "foil_text"):
        require(len(text(pairs[name][...])) == len(length), "missing", name)


def check_sweep(file, sweep):
    """The means of the summary again, by numpy."""
    clean = file["base/clean/logit_diff"][...]
    corrupted = file["base/corrupted/logit_diff"][...]
    values = sweep["logit_diff"][...]
    require(values.dtype == np.float64, "logit differences are not float64")
    summary = sweep["summary"]
    for name in SUMMARY:
        for suffix in ("", "_right"):
            require(name + suffix in summary, sweep.name, "lacks", name + suffix)
    values = summary_positions(file, summary, values)
    for subset, suffix in ((slice(None), ""), (file["pairs/right"][...] == 1, "_right")):
        check_means(sweep, summary, values[subset], clean[subset], corrupted[subset], suffix,
                    text(file["pairs/extra"][...]), subset)


def dims_of(data):
    return tuple(dim[0].name.rsplit("/", 1)[-1] for dim in data.dims)


def summary_positions(file, summary, values):
    """Raw values (pair, ...) with positions counted as the summary counts them."""
    for axis, name in enumerate(dims_of(summary["effect"]), start=1):
        if not name.endswith("_from_end"):
            continue
        shifted = np.full_like(values, np.nan)
        n = values.shape[axis]
        for i, t in enumerate(file["pairs/length"][...]):
            to = np.moveaxis(shifted[i], axis - 1, -1)
            to[..., n - t:] = np.moveaxis(values[i], axis - 1, -1)[..., :t]
        values = shifted
    return values


def check_sets(file, sweep):
    """Members of the sets, and their interactions by numpy."""
    if "set" not in sweep:
        require("/sets/" + sweep.name.rsplit("/", 1)[-1] not in file, sweep.name, "has no sets")
        return
    sets = file["sets/" + sweep.name.rsplit("/", 1)[-1]]
    members = [m.split(" ") if m else [] for m in text(sets["members"][...])]
    require([len(m) for m in members] == list(sets["size"][...]), sweep.name, "sizes of sets")
    require(len(members) == sweep["set"].shape[0], sweep.name, "number of sets")
    summary = sweep["summary"]
    require(("interaction" in summary) == (sweep.attrs["sets_all_pairs"] == 1),
            sweep.name, "interactions")
    if "interaction" not in summary or dims_of(summary["effect"]) != ("set",):
        return
    alone = {m[0]: i for i, m in reversed(list(enumerate(members))) if len(m) == 1}
    recipient = file["base"][sweep.attrs["recipient"]]["logit_diff"][...]
    effect = sweep["logit_diff"][...] - recipient[:, None]
    for subset, suffix in ((slice(None), ""), (file["pairs/right"][...] == 1, "_right")):
        expected = np.full((len(effect[subset]), len(members)), np.nan)
        for i, m in enumerate(members):
            if len(m) == 2:
                expected[:, i] = (effect[:, i] - effect[:, alone[m[0]]] -
                                  effect[:, alone[m[1]]])[subset]
        n = len(expected)
        if n == 0:
            continue
        error = np.std(expected, axis=0, ddof=1) / np.sqrt(n) if n > 1 else expected[0] * np.nan
        require(close(summary["interaction" + suffix][...], expected.mean(0), 1e-12),
                sweep.name, "interaction" + suffix)
        require(close(summary["interaction_stderr" + suffix][...], error, 1e-12),
                sweep.name, "interaction_stderr" + suffix)


def check_readings(file):
    """Attributions sum to the logit difference as closely as /checks says."""
    deviation = file["checks/attribution_deviation"][...]
    if "readings/direct_logit_attribution" not in file:
        require(bool(np.all(np.isnan(deviation))), "a deviation of attributions that are not there")
        return
    require(bool(np.all(deviation <= file["checks"].attrs["attribution_tolerance"])),
            "attributions do not sum to the logit difference")
    for name in ("head_scores", "logit_lens", "direct_logit_attribution"):
        if "readings/" + name in file:
            require(set(file["readings"][name]) >= {"clean", "corrupted"}, name, "lacks a side")


def check_activations(file):
    """Nothing past the end of a prompt, and something everywhere else."""
    length = file["pairs/length"][...]
    for side in file.get("activations", ()):
        for name, data in file["activations"][side].items():
            if h5py.h5ds.is_scale(data.id) or name.endswith("_mask"):
                continue
            past = np.zeros(data.shape, bool)
            for axis, dim in enumerate(dims_of(data)):
                if dim.endswith("position"):
                    shape = [1] * data.ndim
                    shape[0], shape[axis] = len(length), data.shape[axis]
                    past |= (np.arange(data.shape[axis]) >= length[:, None]).reshape(shape)
            require(bool(np.all(np.isnan(data[...]) == past)), data.name, "past the end")


def check_means(sweep, summary, values, clean, corrupted, suffix, extras, subset):
    shape = (-1,) + (1,) * (values.ndim - 1)
    recipient = corrupted if sweep.attrs["direction"] == "denoise" else clean
    effect = values - recipient.reshape(shape)
    n = np.sum(~np.isnan(effect), axis=0)
    require(bool(np.all(n == summary["n_pairs" + suffix][...])), sweep.name, "n_pairs", suffix)
    distractor = np.array([json.loads(e).get("corrupt") == "distractor" for e in extras])[subset]
    gap = clean - corrupted
    ratio = (values - corrupted.reshape(shape)) / gap.reshape(shape)
    ratio[(np.abs(gap) < sweep.attrs["min_gap"]) | distractor] = np.nan
    if values.shape[0] == 0:
        return
    if not np.any(n > 0):
        return
    with np.errstate(all="ignore"):
        mean = np.nansum(effect, axis=0) / n
        error = np.sqrt(np.nansum((effect - mean) ** 2, axis=0) / (n - 1) / n)
        error = np.where(n < 2, np.nan, error)
        count = np.sum(~np.isnan(ratio), axis=0)
        restoration = np.nansum(ratio, axis=0) / count
    scale = max(1.0, float(np.nanmax(np.abs(effect))))
    for name, expected in (("effect", mean), ("stderr", error), ("restoration", restoration)):
        require(close(summary[name + suffix][...], expected, 1e-12 * scale),
                sweep.name, name + suffix, "is not its mean over pairs")
    low, high = summary["ci_low" + suffix][...], summary["ci_high" + suffix][...]
    there = n >= 2
    require(bool(np.all(low[there] <= high[there])), sweep.name, "intervals are reversed")
    p, corrected = summary["p_value" + suffix][...], summary["p_fwer" + suffix][...]
    require(bool(np.all((p[n > 0] > 0) & (p[n > 0] <= 1))), sweep.name, "p out of range")
    require(bool(np.all(corrected[n > 0] >= p[n > 0])), sweep.name, "p_fwer below p")
    require(bool(np.all(p[n > 0] >= summary.attrs["smallest_p" + suffix] * (1 - 1e-12))),
            sweep.name, "p below the smallest")


# ---- xarray --------------------------------------------------------------------------------

def groups_of(file):
    found = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Group) else None)
    return found


def seen(data):
    """The values of a number as xarray shows them: NaN for the fill value of integers."""
    if data.dtype.kind == "i" and "_FillValue" in data.attrs:
        return np.where(data[...] == data.attrs["_FillValue"], np.nan, data[...])
    return data[...] if data.dtype.kind in "fiu" else None


def check_group(ds, group, engine, expected):
    """Every dataset of a group, with coordinates along all of its dimensions."""
    for name, (dims, values) in expected.items():
        if name in ds.coords:
            continue
        require(ds[name].dims == dims, engine, group, name, ds[name].dims)
        for dim in dims:
            require(dim in ds.coords, engine, group, "has no coordinate", dim)
        if values is not None:
            require(close(ds[name].values, values, 0), engine, group, name, "values differ")
        if name.endswith("_mask"):
            require(ds[name].dtype == bool, engine, name, "is", ds[name].dtype)
    if group.startswith("sweeps/") and "logit_diff" in ds:
        check_sweep_group(ds, group, engine, expected)
    for dim, (_, values) in expected.items():
        if dim not in ds.dims:
            continue
        require(close(ds[dim].values, values, 0), engine, group, dim, "coordinates differ")
        require(ds[dim].dtype.kind == ("f" if dim == "alpha" else "i"),
                engine, dim, "is", ds[dim].dtype)
        if dim.endswith("_from_end"):
            require(int(ds[dim][-1]) == -1, engine, group, dim, "does not end at -1")


def open_all(path, engine, groups):
    """All groups, one after the other: opened together where xarray can and there are many."""
    if len(groups) > 40 and hasattr(xr, "open_groups"):
        opened = xr.open_groups(path, engine=engine)
        for group in groups:
            with opened["/" + group] as ds:
                yield group, ds
        return
    for group in groups:
        with xr.open_dataset(path, group=group, engine=engine) as ds:
            yield group, ds


def check_sweep_group(ds, group, engine, expected):
    require(ds["logit_diff"].attrs["units"] == "logit", engine, "units are lost")
    if group.endswith("/cells"):  # views: the cell before the pair
        pairs = "pair_in_cell"
        require(list(ds["logit_diff"].dims).index(pairs) in (1, 2, 3), engine, group, "dims")
    else:
        pairs = "pair"
        require(ds.attrs["direction"] in ("denoise", "noise"), engine, "attributes are lost")
    dims = ds["logit_diff"].dims
    labels = {d: ds[d].values[-1] for d in dims if d != pairs}
    last = expected["logit_diff"][1][tuple(slice(None) if d == pairs else -1 for d in dims)]
    require(close(ds["logit_diff"].sel(labels).values, last, 0), engine, group,
            "selection by label")


def check_xarray(path, engine):
    with h5py.File(path, "r") as file:
        lengths = file["pairs/length"][...]
        groups = {}
        for group in groups_of(file):
            items = {n: d for n, d in file[group].items() if isinstance(d, h5py.Dataset)}
            groups[group] = {
                n: ((n,) if h5py.h5ds.is_scale(d.id) else dims_of(d),
                    seen(d)) for n, d in items.items()}
    for group, ds in open_all(path, engine, list(groups)):
        check_group(ds, group, engine, groups[group])
    with xr.open_dataset(path, group="pairs", engine=engine) as ds:
        require(ds["right"].dtype == bool, engine, "right is", ds["right"].dtype)
        require(ds["length"].dtype == np.int32, engine, "length is", ds["length"].dtype)
        require(close(ds["length"].values, lengths, 0), engine, "lengths differ")
        require(isinstance(ds["clean_text"].values[0], str), engine, "texts are no str")
        require(ds["clean_tokens"].dims == ("pair", "position"), engine, "tokens' dims")
        ds.isel(pair=ds["right"].values)
    with xr.open_dataset(path, group="base/clean", engine=engine) as ds:
        require(ds["logit_diff"].dims == ("pair",), engine, "base dims")
    with xr.open_dataset(path, group="checks", engine=engine) as ds:
        require(ds.attrs["passed"] == 1, engine, "checks not passed")
        require(ds["sha256"].dims == ("dataset",), engine, "checksums' dims")
    with xr.open_dataset(path, engine=engine) as ds:
        require(set(ds.dims) >= {"pair", "layer", "head"}, engine, "root dims", ds.dims)
        require(str(ds.attrs["title"]).startswith("Patchbay"), engine, "title is lost")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        try:
            n = check_h5py(path)
            for engine in ("h5netcdf", "netcdf4"):
                check_xarray(path, engine)
        except Defect as defect:
            sys.exit("%s: %s" % (path, defect))
        print("%s: %d datasets, right by h5py and by xarray (h5netcdf, netcdf4)" % (path, n))


if __name__ == "__main__":
    main()
