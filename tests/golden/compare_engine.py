"""Compare a result file of Patchbay with a golden: compare_engine.py RESULT.h5 EXPECTED.h5

Base logit differences and effects (variant minus recipient's baseline) of every sweep must lie
within 1e-4 of the sweep's largest expected effect; variants that change nothing (prompts equal up
to the patched position) must equal the baseline exactly. Metrics over the whole vocabulary are
compared where the golden has them. Prints the worst figure of every sweep; exit 1 on failure.
Needs only h5py and numpy.
"""
import re
import sys

import h5py
import numpy as np

TOLERANCE = 1e-4
# Results hold probabilities and divergences in float32, made of logits that are off by about 1e-5.
ABSOLUTE = {"prob": 2e-5, "logprob": 1e-4, "kl": 1e-4}
GROUP = re.compile(r"^\d+_patch_z_(denoise|noise)_(all|last|each)$")


class Comparison:
    def __init__(self, result, expected, tolerance=TOLERANCE):
        self.result, self.expected, self.tolerance = result, expected, tolerance
        self.ok, self.lines = True, []
        self.worst = 0.0

    def fail(self, line):
        self.ok = False
        self.lines.append("  FAIL " + line)

    def dataset(self, name, shape):
        """A dataset of the result as float64, None (and a failure) where it is absent or of
        another shape."""
        if name not in self.result:
            self.fail(f"{name}: not in the result file")
            return None
        values = np.asarray(self.result[name][()], np.float64)
        if values.shape != shape:
            self.fail(f"{name}: shape {values.shape}, expected {shape}")
            return None
        return values

    def deviation(self, name, got, expected, allowed, unit=1.0):
        """Largest |got - expected| (NaN where and only where NaN is expected) against allowed."""
        absent = np.isnan(expected)
        if not np.array_equal(absent, np.isnan(got)):
            self.fail(f"{name}: {np.sum(absent != np.isnan(got))} values are NaN where they should "
                      "not be, or not NaN where they should")
            return
        differences = np.abs(got - expected)[~absent]
        worst = differences.max() if differences.size else 0.0
        if not worst <= allowed:
            differences = np.nan_to_num(np.abs(got - expected), nan=-1.0)
            index = np.unravel_index(np.argmax(differences), got.shape)
            self.fail(f"{name}: off by {worst / unit:.3g} (allowed {allowed / unit:.3g}) at "
                      f"{tuple(int(i) for i in index)}: got {got[index]:.9g}, "
                      f"expected {expected[index]:.9g}")
        else:
            self.lines.append(f"  {name}: off by {worst / unit:.2g} (allowed {allowed / unit:.2g})")
        if unit != 1.0:
            self.worst = max(self.worst, worst / unit)

    # ---- the parts -----------------------------------------------------------------------------

    def sweep_names(self):
        """{"denoise_all": name of its group in the result}."""
        names = {}
        for group in self.result.get("sweeps", {}):
            match = GROUP.match(group)
            if match:
                names["_".join(match.groups())] = "sweeps/" + group
        return names

    def expected_effects(self, sweep):
        side = "corrupted" if sweep.startswith("denoise") else "clean"
        values = self.expected[sweep + "/logit_diff"][()]
        base = self.expected[f"base/{side}/logit_diff"][()]
        return side, values - base.reshape(-1, *[1] * (values.ndim - 1))

    def unchanged(self, sweep, shape):
        """Mask of the variants that cannot change anything: the recipient and the donor are the
        same up to the last patched position; in the last layer, patches before the answer."""
        first = self.expected["first_difference"][()]
        length = self.expected["length"][()]
        mask = np.zeros(shape, bool)
        mask[first >= length] = True
        if sweep.endswith("each"):
            position = np.arange(shape[3])
            mask |= (position[None] < first[:, None])[:, None, None]
            mask[:, -1] |= (position[None] != length[:, None] - 1)[:, None]
            mask &= (position[None] < length[:, None])[:, None, None]
        return mask

    def base(self):
        largest = max(np.nanmax(np.abs(self.expected_effects(s)[1])) for s in self.sweeps())
        for side in ("clean", "corrupted"):
            name = f"base/{side}/logit_diff"
            expected = self.expected[name][()]
            got = self.dataset(name, expected.shape)
            if got is not None:
                self.deviation(name, got, expected, self.tolerance * largest, largest)

    def sweeps(self):
        return [s for s in self.expected if s.startswith(("denoise_", "noise_"))]

    def sweep(self, sweep, group):
        side, expected = self.expected_effects(sweep)
        got = self.dataset(group + "/logit_diff", expected.shape)
        base = self.dataset(f"base/{side}/logit_diff", expected.shape[:1])
        if got is None or base is None:
            return
        effects = got - base.reshape(-1, *[1] * (got.ndim - 1))
        largest = np.nanmax(np.abs(expected))
        self.deviation(sweep, effects, expected, self.tolerance * largest, largest)
        moved = self.unchanged(sweep, got.shape) & ~(effects == 0.0)
        if moved.any():
            index = tuple(int(i) for i in np.argwhere(moved)[0])
            self.fail(f"{sweep}: {moved.sum()} variants that change nothing differ from the "
                      f"baseline, the first at {index} by {effects[index]:.3g}")

    def metrics(self, where, group):
        """Everything else that the golden has of one group."""
        names = set(self.expected[where])
        for name in sorted(names - {"logit_diff"}):
            if name.endswith(("_low", "_high")):
                continue
            path = f"{group}/{name}"
            if group.startswith("base") and path not in self.result:
                continue  # base runs store what was asked for, and no differences
            expected = self.expected[f"{where}/{name}"][()]
            got = self.dataset(path, expected.shape)
            if got is None:
                continue
            if name.startswith("rank"):
                low = self.expected[f"{where}/{name}_low"][()]
                high = self.expected[f"{where}/{name}_high"][()]
                # written so that NaN (or the fill value -1) in the wrong place fails
                right = np.where(np.isnan(expected), np.isnan(got), (got >= low) & (got <= high))
                if not right.all():
                    self.fail(f"{path}: {np.sum(~right)} ranks out of range")
                else:
                    self.lines.append(f"  {path}: {np.sum(got != expected)} of "
                                      f"{got.size} ranks differ, all within rounding")
            else:
                allowed = ABSOLUTE.get(name.partition("_")[0], self.tolerance)
                self.deviation(path, got, expected, allowed)

    def run(self):
        groups = self.sweep_names()
        self.base()
        for sweep in self.sweeps():
            if sweep not in groups:
                self.fail(f"{sweep}: no such sweep in the result file")
                continue
            self.sweep(sweep, groups[sweep])
            self.metrics(sweep, groups[sweep])
        if any(len(self.expected[s]) > 1 for s in self.sweeps()):
            for side in ("clean", "corrupted"):
                self.metrics(f"base/{side}", f"base/{side}")
        return self.ok


def compare(result_path, expected_path, tolerance=TOLERANCE):
    """(ok, worst deviation in units of the largest effect, report lines)."""
    try:
        result = h5py.File(result_path, "r")
    except OSError as error:
        return False, float("nan"), [f"  FAIL {result_path}: {error}"]
    with result, h5py.File(expected_path, "r") as expected:
        comparison = Comparison(result, expected, tolerance)
        ok = comparison.run()
        return ok, comparison.worst, comparison.lines


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: compare_engine.py RESULT.h5 EXPECTED.h5")
    ok, worst, lines = compare(*sys.argv[1:])
    print("\n".join(lines))
    print(f"{'ok' if ok else 'FAILED'}: worst deviation {worst:.3g} of the largest effect")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
