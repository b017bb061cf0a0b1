"""Compare a run of a family's golden model with the float64 reference.

    python tests/golden/compare_families.py RESULT.h5 EXPECTED.h5

Base logit differences and every cell of the z, q, k and v sweeps, within 1e-4 of the sweep's
largest effect. The last line says the worst deviation.
"""
import sys

import h5py
import numpy as np

TOLERANCE = 1e-4


def main(result_path, expected_path):
    worst, bad = 0.0, []
    with h5py.File(result_path) as got, h5py.File(expected_path) as expected:
        baseline = expected["corrupted"][:]
        sweeps = {name.split("_")[2]: got["sweeps"][name] for name in got["sweeps"]}
        assert set(sweeps) == {"z", "q", "k", "v"}, sorted(sweeps)
        overall = max(np.abs(expected[s][:] - baseline[:, None, None]).max() for s in sweeps)
        checks = [(side, got[f"base/{side}/logit_diff"][:], expected[side][:], overall)
                  for side in ("clean", "corrupted")]
        for site, group in sorted(sweeps.items()):
            right = expected[site][:]
            checks.append((site, group["logit_diff"][:], right,
                           np.abs(right - baseline[:, None, None]).max()))
        for what, values, right, scale in checks:
            if values.shape != right.shape:
                bad.append(f"{what}: shape {values.shape}, expected {right.shape}")
                continue
            off = np.abs(values - right).max() / scale
            worst = max(worst, off)
            if not off <= TOLERANCE:
                bad.append(f"{what}: off by {off:.3g} of the largest effect {scale:.3g}")
    print("\n".join(bad + [f"worst deviation {worst:.2g} of the largest effect"]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
