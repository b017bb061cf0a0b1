"""The comparer of sweeps must be able to fail: a result file is made from each golden, accepted as
it is, and refused with each of a list of defects.  python tests/golden/test_compare_sweeps.py"""
import sys
from pathlib import Path

import h5py
import numpy as np

from compare_sweeps import Comparison

SWEEPS = Path(__file__).parent / "sweeps"


def result_of(expected):
    """A result file in memory that says exactly what the golden says."""
    result = h5py.File("result.h5", "w", driver="core", backing_store=False)
    for side in ("clean", "corrupted"):
        result[f"base/{side}/logit_diff"] = expected[f"base/{side}"][()]
    for name in Comparison(result, expected).names():
        values = expected[name][()]
        result[f"sweeps/{name}/logit_diff"] = values
        if np.isnan(values).any():
            result[f"sweeps/{name}/logit_diff_mask"] = np.isnan(values).astype(np.uint8)
    for name in expected.get("means", {}):
        values = expected[f"means/{name}"][()]
        result[f"sweeps/{name}/reference_mean"] = values.reshape(
            [n for n in values.shape if n > 1])
    for name in expected.get("resample", {}):
        result[f"sweeps/{name}/resample_pair"] = expected[f"resample/{name}"][()]
    for name in expected.get("control", {}):
        result[f"sweeps/{name}/control"] = expected[f"control/{name}"][()].squeeze()
    for name in ("readings", "activations"):
        if name in expected:
            expected.copy(name, result)
    return result


def of_kind(expected, absent, least=2):
    """A sweep with (or without) absent cells, and one of its cells that is there."""
    for name in Comparison({}, expected).names():
        values = expected[name][()]
        if np.isnan(values).any() == absent and values.size >= least:
            there = np.argwhere(~np.isnan(values))
            return f"sweeps/{name}", tuple(there[len(there) // 2])
    return None, None


def defects(expected):
    """(what, function that spoils a result file)."""
    def cell(name, index, change, dataset="logit_diff"):
        def spoil(result):
            values = result[f"{name}/{dataset}"][()]
            values[index] = change(values[index])
            result[f"{name}/{dataset}"][...] = values
        return spoil

    def drop(name):
        def spoil(result):
            del result[name]
        return spoil

    whole, index = of_kind(expected, False)
    name = whole.partition("/")[2]
    side = expected["base/" + Comparison({}, expected).recipient(name)][()]
    effect = np.abs(Comparison.effects(expected[name][()], side)).max()
    yield "effect off by 2e-4", cell(whole, index, lambda x: x + 2e-4 * effect)
    yield "NaN", cell(whole, index, lambda x: np.nan)
    yield "a sweep missing", drop(whole)
    yield "base off", cell("base/clean", 0, lambda x: x + 0.05)
    partly, index = of_kind(expected, True)
    if partly:
        gone = tuple(np.argwhere(np.isnan(expected[partly.partition("/")[2]][()]))[0])
        yield "a number in an absent cell", cell(partly, gone, lambda x: 0.0)
        yield "a mask missing", drop(partly + "/logit_diff_mask")
        yield "a cell wrongly masked", cell(partly, index, lambda x: 1, "logit_diff_mask")
    if "readings" in expected:
        for name in ("direct_logit_attribution/clean/heads", "logit_lens/corrupted/rank_answer",
                     "head_scores/induction", "copying/copying", "composition/q"):
            where, _, dataset = ("readings/" + name).rpartition("/")
            there = tuple(np.argwhere(~np.isnan(expected["readings/" + name][()]))[-1])
            yield name + " off", cell(where, there, lambda x: x + 0.01, dataset)
            yield name + " missing", drop("readings/" + name)
    if "activations" in expected:
        yield "an activation off", cell("activations/clean", (0, 0, 0, 0, 0), lambda x: x + 0.01,
                                        "z")
        yield "activations missing", drop("activations/clean/embed")
    for kind, dataset in (("means", "reference_mean"), ("resample", "resample_pair"),
                          ("control", "control")):
        for name in list(expected.get(kind, {}))[:1]:
            where = f"sweeps/{name}"
            yield f"{dataset} off", cell(where, -1, lambda x: x + 1, dataset)
            yield f"{dataset} missing", drop(f"{where}/{dataset}")


def main():
    failures = count = 0
    spoiled = set()  # runs of this name have been spoiled in every way
    for path in sorted(SWEEPS.glob("*/*.h5")):
        label = f"{path.parent.name}/{path.stem}"
        with h5py.File(path, "r") as expected:
            with result_of(expected) as result:
                count += 1
                if not Comparison(result, expected).run():
                    failures += 1
                    print(f"{label}: a right result is refused")
            for what, spoil in defects(expected) if path.stem not in spoiled else ():
                with result_of(expected) as result:
                    spoil(result)
                    count += 1
                    if Comparison(result, expected).run():
                        failures += 1
                        print(f"{label}: accepted in spite of: {what}")
        spoiled.add(path.stem)
    print(f"{count - failures} passed, {failures} failed")
    sys.exit(1 if failures or not count else 0)


if __name__ == "__main__":
    main()
