#!/usr/bin/env python3
"""Two results of one experiment by different backends: every raw logit difference of RESULT within
TOLERANCE of the sweep's largest |effect| in OTHER; 0 means equal bits. Usage:

    compare_backends.py RESULT OTHER TOLERANCE
"""
import sys

import h5py
import numpy as np


def compare(result, other, tolerance):
    worst = 0.0
    if set(result["sweeps"]) != set(other["sweeps"]):
        return "the sweeps differ", worst
    for name in other["sweeps"]:
        got, want = (f["sweeps"][name]["logit_diff"][()] for f in (result, other))
        if got.shape != want.shape or (np.isnan(got) != np.isnan(want)).any():
            return f"{name}: other cells", worst
        side = other["sweeps"][name].attrs["direction"]
        side = side.decode() if isinstance(side, bytes) else side
        base = other["base"]["corrupted" if side == "denoise" else "clean"]["logit_diff"][()]
        effect = np.nanmax(np.abs(want - base.reshape(-1, *[1] * (want.ndim - 1))))
        if not effect > 0.02:
            return f"{name}: effects are too small to test anything", worst
        deviation = np.nanmax(np.abs(got - want)) / effect
        worst = max(worst, deviation)
        if not deviation <= tolerance:
            return f"{name}: off by {deviation:.3g} of the largest effect", worst
    return None, worst


def main():
    with h5py.File(sys.argv[1]) as result, h5py.File(sys.argv[2]) as other:
        wrong, worst = compare(result, other, float(sys.argv[3]))
    print(wrong or f"within {worst:.3g} of the largest effect")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
