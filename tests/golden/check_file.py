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


def datasets(file):
    """Every dataset once, the scales of the root by their root name."""
    found = {}

    def walk(group, prefix):
        for name in group:
            item = group[name]
            if isinstance(item, h5py.Group):
                walk(item, prefix + name + "/")
            elif prefix == "/" or not (name in file and file[name] == item):
                found[prefix + name] = item
    walk(file, "/")
    return found


# ---- h5py ----------------------------------------------------------------------------------

def is_text(dataset):
    return h5py.check_string_dtype(dataset.dtype) is not None


def text(values):
    return [v.decode("utf-8") if isinstance(v, bytes) else v for v in np.ravel(values)]


def check_dataset(file, path, data):
    require("long_name" in data.attrs, path, "has no long_name")
    if is_text(data):
        info = h5py.check_string_dtype(data.dtype)
        require(info.encoding == "utf-8" and info.length is None,
                path, "is not variable-length UTF-8")
    else:
        require("units" in data.attrs, path, "has no units")
        require(data.chunks is not None, path, "is not chunked")
        require(data.shuffle and data.compression == "gzip" and data.fletcher32,
                path, "lacks shuffle, gzip or Fletcher32")
        plist = data.id.get_create_plist()
        require(plist.fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED,
                path, "has no fill value")
    is_scale = path.count("/") == 1
    if is_scale:
        require(h5py.h5ds.is_scale(data.id), path, "at the root is not a dimension scale")
        return
    for axis, dim in enumerate(data.dims):
        require(len(dim) == 1, path, "axis", axis, "has", len(dim), "scales")
        name = dim[0].name.rsplit("/", 1)[-1]
        require(dim[0].shape[0] == data.shape[axis], path, "scale", name, "is of another size")
        require(data.parent[name] == file[name], path, name, "is not linked into its group")
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
        require(file.attrs["schema_version"] == 1, "another schema version")
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
    for extra in text(pairs["extra"][...]):
        require(isinstance(json.loads(extra), dict), "extra is not a JSON object")
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
    if "position_from_end" in summary:
        length = file["pairs/length"][...]
        n = values.shape[-1]
        shifted = np.full_like(values, np.nan)
        for i, t in enumerate(length):
            shifted[i, ..., n - t:] = values[i, ..., :t]
        values = shifted
    for subset, suffix in ((slice(None), ""), (file["pairs/right"][...] == 1, "_right")):
        check_means(sweep, summary, values[subset], clean[subset], corrupted[subset], suffix,
                    text(file["pairs/extra"][...]), subset)


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
    with np.errstate(all="ignore"):
        mean = np.nansum(effect, axis=0) / n
        error = np.sqrt(np.nansum((effect - mean) ** 2, axis=0) / (n - 1) / n)
        error[n < 2] = np.nan
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

def check_xarray(path, engine):
    with h5py.File(path, "r") as file:
        names = list(file["sweeps"])
        raw = {n: file["sweeps"][n]["logit_diff"][...] for n in names}
        tail = "position_from_end" if "position_from_end" in file else "position"
        lengths = file["pairs/length"][...]
    for name in names:
        dims = ("pair", "layer", "head") + (("position",) if raw[name].ndim == 4 else ())
        with xr.open_dataset(path, group="sweeps/" + name, engine=engine) as ds:
            require(ds["logit_diff"].dims == dims, engine, name, ds["logit_diff"].dims)
            for dim in dims:
                require(dim in ds.coords, engine, name, "has no coordinate", dim)
                require(ds[dim].dtype.kind == "i", engine, dim, "is", ds[dim].dtype)
            require(ds["logit_diff"].attrs["units"] == "logit", engine, "units are lost")
            require(close(ds["logit_diff"].values, raw[name], 0), engine, name, "values differ")
            one = ds["logit_diff"].sel(layer=1, head=2).values
            require(close(one, raw[name][:, 1, 2], 0), engine, name, "selection by label")
            require(ds.attrs["direction"] in ("denoise", "noise"), engine, "attributes are lost")
            for v in ds:
                if v.endswith("_mask"):
                    require(ds[v].dtype == bool, engine, v, "is", ds[v].dtype)
        with xr.open_dataset(path, group="sweeps/" + name + "/summary", engine=engine) as ds:
            dims = ("layer", "head") + ((tail,) if raw[name].ndim == 4 else ())
            require(ds["effect"].dims == dims, engine, name, "summary", ds["effect"].dims)
            if "position_from_end" in dims:
                require(int(ds["position_from_end"][-1]) == -1, engine, "last is not -1")
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
