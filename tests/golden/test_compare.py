"""The comparer must be able to fail: a result file is made from each golden, accepted as it is,
and refused with each of a list of defects.  python tests/golden/test_compare.py"""
import sys
from pathlib import Path

import h5py
import numpy as np

from compare_engine import Comparison

ENGINE = Path(__file__).parent / "engine"
SWEEPS = ("denoise_all", "denoise_last", "denoise_each", "noise_all", "noise_last", "noise_each")


def result_of(expected):
    """A result file in memory that says exactly what the golden says."""
    result = h5py.File("result.h5", "w", driver="core", backing_store=False)
    for name in ("base/clean", "base/corrupted", *SWEEPS):
        where = name if name.startswith("base") else f"sweeps/{SWEEPS.index(name)}_patch_z_{name}"
        for metric in expected[name]:
            result[f"{where}/{metric}"] = expected[f"{name}/{metric}"][()]
        if name.startswith("base"):
            continue
        # the golden computes every variant anew, so that rounding is left where nothing changes
        values = result[f"{where}/logit_diff"][()]
        side = "corrupted" if name.startswith("denoise") else "clean"
        base = expected[f"base/{side}/logit_diff"][()].reshape(-1, *[1] * (values.ndim - 1))
        unchanged = Comparison(result, expected).unchanged(name, values.shape)
        result[f"{where}/logit_diff"][...] = np.where(unchanged, base, values)
    return result


def defects(expected):
    """(what, function that spoils a result file)."""
    def cell(sweep, index, change):
        path = f"sweeps/{SWEEPS.index(sweep)}_patch_z_{sweep}/logit_diff"

        def spoil(result):
            values = result[path][()]
            values[index] = change(values[index])
            result[path][...] = values
        return spoil

    def swap(result):
        result.move("sweeps/0_patch_z_denoise_all", "sweeps/9")
        result.move("sweeps/3_patch_z_noise_all", "sweeps/0_patch_z_denoise_all")
        result.move("sweeps/9", "sweeps/3_patch_z_noise_all")

    def drop(result):
        del result["sweeps/2_patch_z_denoise_each"]

    def base(result):
        result["base/clean/logit_diff"][0] += 0.01

    side = expected["base/corrupted/logit_diff"][()]
    largest = np.abs(expected["denoise_last/logit_diff"][()] - side[:, None, None]).max()
    same = int(np.argmax(expected["first_difference"][()] == expected["length"][()]))
    late = int(np.argmax(expected["first_difference"][()]))
    short = int(np.argmin(expected["length"][()]))
    yield "effect off by 2e-4", cell("denoise_last", (0, 0, 0), lambda x: x + 2e-4 * largest)
    yield "NaN", cell("noise_each", (0, 0, 0, 0), lambda x: np.nan)
    yield "a number past the prompt's end", cell("noise_each", (short, 0, 0, -1), lambda x: 0.0)
    yield "unchanged prompt moved", cell("noise_all", (same, 0, 0), lambda x: x + 1e-9)
    yield "a position before the first difference moved", \
        cell("denoise_each", (late, 0, 0, 0), lambda x: x + 1e-9)
    yield "directions swapped", swap
    yield "a sweep missing", drop
    yield "base off", base


def main():
    failures = count = 0
    for path in sorted(ENGINE.glob("*/expected.h5")):
        with h5py.File(path, "r") as expected:
            with result_of(expected) as result:
                count += 1
                if not Comparison(result, expected).run():
                    failures += 1
                    print(f"{path.parent.name}: a right result is refused")
            for what, spoil in defects(expected):
                with result_of(expected) as result:
                    spoil(result)
                    count += 1
                    if Comparison(result, expected).run():
                        failures += 1
                        print(f"{path.parent.name}: accepted in spite of: {what}")
    print(f"{count - failures} passed, {failures} failed")
    sys.exit(1 if failures or not count else 0)


if __name__ == "__main__":
    main()
