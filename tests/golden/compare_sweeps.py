"""Compare a result file with a golden of sweeps: compare_sweeps.py RESULT.h5 EXPECTED.h5

Effects (variant minus the recipient's baseline) of every sweep must lie within 1e-4 of the sweep's
largest expected effect, base logit differences within 1e-4 of the run's; absent cells must be the
same ones, and marked in `logit_diff_mask`. Reference means, the pairs that resampling takes, noise,
readings and saved activations are compared too. Prints one line a sweep; exit 1 on failure. Needs
only h5py and numpy.
"""
import sys

import h5py
import numpy as np

TOLERANCE = 1e-4
# A sweep in which next to nothing happens is held to this part of the run's largest effect: there
# float32 leaves what cancels in exact arithmetic.
QUIET = 1e-3
METRICS = 5e-5  # nat: of logits in float32
MEANS = 2e-6  # float32 activations, summed in float64; relative to the largest value
READINGS = 2e-5  # of float32 activations; relative to the largest value


class Comparison:
    """tolerances: {sweep: its own tolerance}, where one is known to need more; slack: by how much
    the tolerances of activations, and of what is made of them, are wider."""

    def __init__(self, result, expected, tolerances=None, slack=1.0):
        self.result, self.expected, self.tolerances = result, expected, tolerances or {}
        self.slack = slack
        self.ok, self.lines, self.worst = True, [], 0.0
        self.base = {side: expected[f"base/{side}"][()] for side in ("clean", "corrupted")}

    def fail(self, line):
        self.ok = False
        self.lines.append("  FAIL " + line)

    def dataset(self, name, shape):
        """As float64; None (and a failure) where it is absent or of another shape."""
        if name not in self.result:
            self.fail(f"{name}: not in the result file")
            return None
        values = np.asarray(self.result[name][()], np.float64)
        if values.shape != shape:
            self.fail(f"{name}: shape {values.shape}, expected {shape}")
            return None
        return values

    def close(self, name, got, expected, allowed, unit):
        """|got - expected| <= allowed, NaN where and only where NaN is expected."""
        absent = np.isnan(expected)
        wrong = absent != np.isnan(got)
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            self.fail(f"{name}: {wrong.sum()} of {wrong.size} values are NaN where they should not "
                      f"be, or not NaN where they should; the first at {index}: got "
                      f"{got[index]:.6g}, expected {expected[index]:.6g}")
            return
        off = np.where(absent, 0.0, np.abs(got - expected))
        worst = off.max() if off.size else 0.0
        self.worst = max(self.worst, worst / unit)
        if worst <= allowed:
            self.lines.append(f"  {name}: off by {worst / unit:.2g}")
            return
        index = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
        self.fail(f"{name}: off by {worst / unit:.3g} (allowed {allowed / unit:.3g}), "
                  f"{np.sum(~(off <= allowed))} of {np.sum(~absent)} cells; worst at {index}: got "
                  f"{got[index]:.9g}, expected {expected[index]:.9g}")

    def mask(self, group, expected):
        absent, name = np.isnan(expected), group + "/logit_diff_mask"
        if name in self.result:
            if not np.array_equal(self.result[name][()] != 0, absent):
                self.fail(f"{name}: does not mark the absent cells")
        elif absent.any():
            self.fail(f"{name}: not in the result file, but {absent.sum()} cells are absent")

    @staticmethod
    def effects(values, base):
        return values - base.reshape(-1, *[1] * (values.ndim - 1))

    def recipient(self, name):
        return "corrupted" if "_denoise_" in name else "clean"

    def sweep(self, name, largest):
        expected = self.expected[name][()]
        got = self.dataset(f"sweeps/{name}/logit_diff", expected.shape)
        side = self.recipient(name)
        base = self.dataset(f"base/{side}/logit_diff", expected.shape[:1])
        if got is None or base is None:
            return
        right = self.effects(expected, self.base[side])
        scale = max(np.nanmax(np.abs(right), initial=0.0), QUIET * largest)
        self.close(name, self.effects(got, base), right,
                   self.tolerances.get(name, TOLERANCE) * scale, scale)
        self.mask(f"sweeps/{name}", expected)

    def extras(self, kind, dataset, allowed):
        for name in self.expected.get(kind, {}):
            expected = self.expected[f"{kind}/{name}"][()].astype(np.float64)
            where = f"sweeps/{name}/{dataset}"
            if where not in self.result:
                self.fail(f"{where}: not in the result file")
                continue
            # the same values in the same order, whatever dimensions of size 1 are left out
            got = np.asarray(self.result[where][()], np.float64)
            if got.size != expected.size:
                self.fail(f"{where}: shape {got.shape}, expected {expected.shape}")
                continue
            expected = expected.reshape(got.shape)
            unit = max(np.nanmax(np.abs(expected)), 1e-30)
            self.close(where, got, expected, allowed * unit, unit / allowed * TOLERANCE)

    def readings(self):
        if "readings" not in self.expected:
            return
        datasets = []
        self.expected["readings"].visititems(
            lambda name, item: datasets.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in sorted(datasets):
            if name.endswith(("_low", "_high")):
                continue
            expected = self.expected["readings/" + name][()]
            got = self.dataset("readings/" + name, expected.shape)
            if got is None:
                continue
            if name + "_low" not in datasets:
                unit = np.nanmax(np.abs(expected), initial=1e-30)
                self.close("readings/" + name, got, expected, READINGS * self.slack * unit,
                           unit * READINGS / TOLERANCE)
                continue
            low, high = (self.expected[f"readings/{name}_{end}"][()] for end in ("low", "high"))
            if not np.all((got >= low - 1e-6) & (got <= high + 1e-6)):
                self.fail(f"readings/{name}: counts out of range")
            else:
                self.lines.append(f"  readings/{name}: counts off by "
                                  f"{np.max(np.abs(got - expected)):.2g}")

    def activations(self):
        for side in self.expected.get("activations", {}):
            for site in self.expected[f"activations/{side}"]:
                name = f"activations/{side}/{site}"
                expected = np.asarray(self.expected[name][()], np.float64)
                if name not in self.result or self.result[name].size != expected.size:
                    self.fail(f"{name}: not in the result file, or of another shape")
                    continue
                got = np.asarray(self.result[name][()], np.float64).reshape(expected.shape)
                unit = np.nanmax(np.abs(expected))
                self.close(name, got, expected, READINGS * self.slack * unit,
                           unit * READINGS / TOLERANCE)

    def metrics(self):
        for name in self.expected.get("metrics", {}):
            for metric in self.expected[f"metrics/{name}"]:
                expected = self.expected[f"metrics/{name}/{metric}"][()]
                got = self.dataset(f"sweeps/{name}/{metric}", expected.shape)
                unit = max(1.0, np.nanmax(np.abs(expected), initial=0.0))
                if got is not None:
                    self.close(f"{name}/{metric}", got, expected, METRICS * self.slack * unit,
                               unit * METRICS / TOLERANCE)

    def names(self):
        groups = (n for n in self.expected if n[0].isdigit())
        return sorted(groups, key=lambda name: int(name.partition("_")[0]))

    def run(self):
        names = self.names()
        largest = max(np.nanmax(np.abs(self.effects(self.expected[n][()],
                                                    self.base[self.recipient(n)])), initial=0.0)
                      for n in names)
        for side, expected in self.base.items():
            got = self.dataset(f"base/{side}/logit_diff", expected.shape)
            if got is not None:
                self.close(f"base/{side}", got, expected,
                           self.tolerances.get("base", TOLERANCE) * largest, largest)
        for name in names:
            self.sweep(name, largest)
        self.extras("means", "reference_mean", MEANS * self.slack)
        self.extras("resample", "resample_pair", 1e-9)
        self.extras("control", "control", READINGS * self.slack)
        self.metrics()
        self.readings()
        self.activations()
        for name in set(self.result["sweeps"]) - set(names):
            self.fail(f"sweeps/{name}: not in the golden")
        return self.ok


def compare(result_path, expected_path, tolerances=None, slack=1.0):
    """(ok, worst deviation in units of the sweep's largest effect, report lines)."""
    try:
        result = h5py.File(result_path, "r")
    except OSError as error:
        return False, float("nan"), [f"  FAIL {result_path}: {error}"]
    with result, h5py.File(expected_path, "r") as expected:
        comparison = Comparison(result, expected, tolerances, slack)
        ok = comparison.run()
        return ok, comparison.worst, comparison.lines


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: compare_sweeps.py RESULT.h5 EXPECTED.h5")
    ok, worst, lines = compare(*sys.argv[1:])
    print("\n".join(lines))
    print(f"{'ok' if ok else 'FAILED'}: {len(lines)} comparisons, worst deviation {worst:.3g} of "
          "the largest effect")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
