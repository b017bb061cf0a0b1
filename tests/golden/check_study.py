#!/usr/bin/env python3
"""Compute again, by numpy from the raw values of result files, what their summaries say of sets
(accuracy, how a set stands among random ones, faithfulness, what remains; the draws of random sets)
and of matched pairs (state against action). Exits with 1 and a message on the first difference.

    python3 check_study.py FILE...

Needs h5py and numpy.
"""
import itertools
import json
import sys

import h5py
import numpy as np

from sweep_random import STREAM_SETS, Rng

STREAM_RESAMPLES = int.from_bytes(b"boot", "big")
N_RESAMPLES = 1000
Z = 1.959963984540054
TOLERANCE = 1e-11


class Difference(Exception):
    pass


def require(condition, *what):
    if not condition:
        raise Difference(" ".join(str(w) for w in what))


def text(data):
    return list(data.asstr()[...])


def resamples(seed, n):
    """How often each resample draws each of n pairs, [N_RESAMPLES, n]."""
    drawn = np.zeros((N_RESAMPLES, n))
    for r in range(N_RESAMPLES if n else 0):
        rng = Rng(STREAM_RESAMPLES, 0, seed, r)
        for _ in range(n):
            drawn[r, rng.below(n)] += 1
    return drawn


def compare(group, name, expected):
    """A dataset of a summary, with its mask, is this; NaN where not applicable."""
    require(name in group, group.name, "lacks", name)
    found = group[name][...].astype(float)
    expected = np.asarray(expected, float).reshape(found.shape)
    mask = group[name + "_mask"][...] == 1 if name + "_mask" in group else np.zeros(found.shape)
    require(np.array_equal(np.isnan(found), np.isnan(expected)), group.name, name,
            "is applicable elsewhere")
    require(np.array_equal(np.isnan(found), mask), group.name, name, "has another mask")
    there = ~np.isnan(found)
    off = np.abs(found - expected)[there]
    limit = TOLERANCE * np.maximum(1, np.abs(expected[there]))
    require(np.all(off <= limit), group.name, name, "is off by", off.max(initial=0))
    return 1


def wilson(hits, n):
    with np.errstate(all="ignore"):
        p = hits / n
        middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return p, middle - half, middle + half


def check_accuracy(file, sweep, summary):
    if "rank_answer" not in sweep:
        require("accuracy" not in summary, sweep.name, "has an accuracy without ranks")
        return 0
    ranks = summary_cells(file, sweep, "rank_answer")
    was = (file["base"][sweep.attrs["recipient"]]["rank_answer"][...] == 0)[:, None]
    there = ~np.isnan(ranks)
    right = (ranks == 0) & there
    n, n_right = there.sum(0).astype(float), (was & there).sum(0).astype(float)
    counts = {"accuracy": (right.sum(0), n), "corrected": ((right & ~was).sum(0), n - n_right),
              "broken": ((there & ~right & was).sum(0), n_right)}
    done = 0
    for name, (hits, of) in counts.items():
        for suffix, values in zip(("", "_ci_low", "_ci_high"), wilson(hits, of)):
            done += compare(summary, name + suffix, values)
    with np.errstate(all="ignore"):
        done += compare(summary, "accuracy_recipient", n_right / n)
        done += compare(summary, "accuracy_change", right.sum(0) / n - n_right / n)
    done += compare(summary, "accuracy_n_pairs", n)
    return done + compare(summary, "accuracy_n_wrong", n - n_right)


def summary_cells(file, sweep, name):
    """Raw values [pair, cell], positions counted as in the summary."""
    values = sweep[name][...].astype(float)
    dims = [d[0].name.rsplit("/", 1)[-1] for d in sweep["summary/effect"].dims]
    for axis, dim in enumerate(dims, start=1):
        if not dim.endswith("_from_end"):
            continue
        shifted = np.full_like(values, np.nan)
        for i, length in enumerate(file["pairs/length"][...]):
            to = np.moveaxis(shifted[i], axis - 1, -1)
            to[..., values.shape[axis] - length:] = np.moveaxis(values[i], axis - 1,
                                                                -1)[..., :length]
        values = shifted
    return values.reshape(len(values), -1)


# ---- sets ----------------------------------------------------------------------------------

class Sets:
    def __init__(self, file, sweep):
        sets = file["sets"][sweep.name.rsplit("/", 1)[-1]]
        self.source = text(sets["source"])
        self.members = [m.split(" ") if m else [] for m in text(sets["members"])]
        self.n = len(self.source)
        shape = sweep["logit_diff"].shape[1:]
        axis = [d[0].name.rsplit("/", 1)[-1] for d in sweep["logit_diff"].dims].index("set") - 1
        self.of_cell = np.indices(shape)[axis].reshape(-1)
        self.behind = int(np.prod(shape[axis + 1:]))

    def heads_alone(self, s):
        return all(m[0] == "L" for m in self.members[s])

    def like(self, s):
        """Random sets that set s is compared with."""
        if self.source[s] not in ("named", "top") or not self.heads_alone(s):
            return []
        return [r for r in range(self.n) if self.source[r] == "random" and
                len(self.members[r]) == len(self.members[s])]


def check_random(sweep, summary, sets):
    if "random" not in sets.source:
        require("n_random" not in summary, sweep.name, "is beside random sets that it lacks")
        return 0
    done = 0
    columns = [("effect", "p_random_effect", suffix) for suffix in ("", "_right")]
    if "accuracy_change" in summary:
        columns.append(("accuracy_change", "p_random_accuracy", ""))
    for column, p_name, suffix in columns:
        values = summary[column + suffix][...].reshape(-1)
        figures = np.full((6, len(values)), np.nan)
        figures[5] = 0
        for c, s in enumerate(sets.of_cell):
            x = np.array([values[c + (r - s) * sets.behind] for r in sets.like(s)])
            x = x[~np.isnan(x)]
            if len(x) == 0:
                continue
            reach = np.sum(np.abs(x) >= np.abs(values[c]) * (1 - 1e-12))
            p = np.nan if np.isnan(values[c]) else (1 + reach) / (1 + len(x))
            figures[:, c] = (p, x.mean(), np.std(x, ddof=1) if len(x) > 1 else np.nan,
                             *np.percentile(x, (2.5, 97.5)), len(x))
        done += compare(summary, p_name + suffix, figures[0])
        if column == "accuracy_change":
            done += compare(summary, "random_accuracy_change", figures[1])
            continue
        for name, x in zip(("random_mean", "random_sd", "random_low", "random_high", "n_random"),
                           figures[1:]):
            done += compare(summary, name + suffix, x)
    return done


def check_draws(file, sweep, sets):
    """Random sets of `size: each` are those of the seed, the size and their number."""
    if sweep.attrs.get("sets_random_size") != "each" or sweep.attrs["sets_random_match"] == "layer":
        return 0
    n_heads = file["kv_head" if sweep.attrs["site"] in ("k", "v", "k_rot") else "head"].shape[0]
    n_layers = file["layer"].shape[0]
    first = sets.source.index("random")
    taken = {m for s in range(first) for m in sets.members[s]}
    heads = ["L%dH%d" % (i, h) for i in range(n_layers) for h in range(n_heads)]
    order = {label: i for i, label in enumerate(heads)}
    count = int(sweep.attrs["sets_random_count"])
    sizes = sorted({len(sets.members[s]) for s in range(first)
                    if sets.members[s] and sets.heads_alone(s)})
    require(sets.source.count("random") == count * len(sizes), sweep.name, "number of random sets")
    for i, size in enumerate(sizes):
        for k in range(count):
            rng, free = Rng(STREAM_SETS, size, int(sweep.attrs["sets_random_seed"]), k), \
                [h for h in heads if h not in taken]
            for a in range(size):
                b = a + rng.below(len(free) - a)
                free[a], free[b] = free[b], free[a]
            require(sets.members[first + i * count + k] == sorted(free[:size], key=order.get),
                    sweep.name, "random set", k, "of size", size)
    return 1


def ratio_columns(above, below, drawn, least):
    """Ratio of sums, and the percentiles of its resamples, by cell."""
    out = np.full((3, above.shape[1]), np.nan)
    for c in range(above.shape[1]):
        there = ~np.isnan(above[:, c]) & ~np.isnan(below[:, c])
        a, b, w = above[there, c], below[there, c], drawn[:, there]
        if len(b) == 0 or b.sum() == 0 or abs(b.sum()) < least * len(b):
            continue
        out[0, c] = a.sum() / b.sum()
        if len(b) < 2:
            continue
        with np.errstate(all="ignore"):
            sample = (w @ a) / np.where(w @ b == 0, np.nan, w @ b)
        out[1:, c] = np.nanpercentile(sample, (2.5, 97.5))
    return out


def check_circuit(file, sweep, summary, sets, subsets):
    complement, empty = sweep.attrs["complement"] == 1, [s for s, m in enumerate(sets.members)
                                                         if not m]
    name = "faithfulness" if complement else "remaining"
    expected = sweep.attrs["sets_all_pairs"] == 0 and (
        len(empty) > 0 if complement else sweep.attrs["direction"] == "noise")
    require((name in summary) == expected, sweep.name, name, "is there, or is not")
    if not expected:
        return 0
    values = summary_cells(file, sweep, "logit_diff")
    recipient = file["base"][sweep.attrs["recipient"]]["logit_diff"][...][:, None]
    start = np.zeros_like(values)
    if complement:
        start = values[:, np.arange(values.shape[1]) + (empty[0] - sets.of_cell) * sets.behind]
    done = 0
    for suffix, (rows, drawn) in subsets.items():
        figures = ratio_columns((values - start)[rows], (recipient - start)[rows], drawn,
                                sweep.attrs["min_gap"])
        for end, x in zip(("", "_ci_low", "_ci_high"), figures):
            done += compare(summary, name + end + suffix, x)
    return done


# ---- matched pairs -------------------------------------------------------------------------

def groups_of(file):
    """(state, action) of each group, in the order of their first pairs."""
    tokens, answers = file["pairs/clean_tokens"][...], file["pairs/answer_token"][...]
    named = {}
    for i, extra in enumerate(map(json.loads, text(file["pairs/extra"]))):
        if extra.get("group") is not None:
            named.setdefault(json.dumps(extra["group"]), []).append((extra.get("partner"), i))
    found = []
    for members in named.values():
        partners = dict(members)
        if len(members) != 2 or set(partners) != {"state", "action"}:
            continue
        a, b = partners["state"], partners["action"]
        if np.array_equal(tokens[a], tokens[b]) and answers[a] == answers[b]:
            found.append((a, b))
    return sorted(found, key=min)


def flips(n):
    """All signs of n groups but the identity."""
    return np.array(list(itertools.product((1, -1), repeat=n))[1:]).reshape(-1, n)


def sign_flips(values):
    """p, p_fwer and q of the mean of every column, all flips taken; NaN: no value in the group."""
    n = np.sum(~np.isnan(values), axis=0)
    x = np.nan_to_num(values)
    sums = np.abs(np.vstack([np.ones((1, len(x))), flips(len(x))]) @ x)
    p = np.mean(sums >= sums[0] - 1e-12 * np.abs(x).sum(0), axis=0)
    squares = n * (x * x).sum(0)
    with np.errstate(all="ignore"):
        u = np.where((n >= 2) & (squares > 0), sums ** 2 / squares, 0)
    statistic = (n - 1) * u / (1 + np.maximum(n - 2, 0) * u)
    fwer = np.array([np.mean(statistic.max(1) >= t * (1 - 1e-12)) for t in statistic[0]])
    p[n == 0] = fwer[n == 0] = np.nan
    q = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p, kind="stable") if n[i] > 0]
    least = 1.0
    for rank in range(len(order), 0, -1):
        least = min(least, p[order[rank - 1]] * len(order) / rank)
        q[order[rank - 1]] = least
    return p, fwer, q


def interval(values, drawn):
    """95% bootstrap interval of the mean of every column."""
    out = np.full((2, values.shape[1]), np.nan)
    for c, x in enumerate(values.T):
        there = ~np.isnan(x)
        if there.sum() < 2:
            continue
        weights = drawn[:, there]
        with np.errstate(all="ignore"):
            out[:, c] = np.nanpercentile(weights @ x[there] / weights.sum(1), (2.5, 97.5))
    return out


def check_matched(file, sweep, summary):
    groups, right = groups_of(file), file["pairs/right"][...] == 1
    require(("matched" in summary) == (len(groups) > 0), sweep.name, "matched")
    if not groups:
        return 0
    clean, corrupted = (file["base"][s]["logit_diff"][...] for s in ("clean", "corrupted"))
    gap, matched, done = clean - corrupted, summary["matched"], 0
    ratio = (summary_cells(file, sweep, "logit_diff") - corrupted[:, None]) / gap[:, None]
    ratio[np.abs(gap) < sweep.attrs["min_gap"]] = np.nan
    for suffix in ("", "_right"):
        rows = [g for g in groups if suffix == "" or (right[g[0]] and right[g[1]])]
        require(matched.attrs["n_groups_total" + suffix] == len(rows), sweep.name, "groups")
        state, action = (ratio[[g[k] for g in rows]] for k in (0, 1))
        x = state - action
        state, action = np.where(np.isnan(x), np.nan, state), np.where(np.isnan(x), np.nan, action)
        n = np.sum(~np.isnan(x), axis=0)
        with np.errstate(all="ignore"):
            mean = np.nansum(x, axis=0) / n
            error = np.sqrt(np.nansum((x - mean) ** 2, axis=0) / (n - 1) / n)
            columns = {"restoration_state": np.nansum(state, axis=0) / n,
                       "restoration_action": np.nansum(action, axis=0) / n,
                       "restoration_difference": mean, "stderr": np.where(n < 2, np.nan, error),
                       "n_groups": n}
        low_high = interval(x, resamples(int(file.attrs["seed"]), len(rows)))
        columns.update(zip(("ci_low", "ci_high"), low_high))
        if len(rows) <= 13:
            columns.update(zip(("p_value", "p_fwer", "q_bh"), sign_flips(x)))
        for name, values in columns.items():
            done += compare(matched, name + suffix, values)
    return done


def check(path):
    done = 0
    with h5py.File(path, "r") as file:
        right = file["pairs/right"][...] == 1
        subsets = {}
        for suffix, rows in (("", np.full(len(right), True)), ("_right", right)):
            subsets[suffix] = rows, resamples(int(file.attrs["seed"]), int(rows.sum()))
        for sweep in file["sweeps"].values():
            summary = sweep["summary"]
            done += check_accuracy(file, sweep, summary)
            done += check_matched(file, sweep, summary)
            if "set" in sweep:
                sets = Sets(file, sweep)
                done += check_random(sweep, summary, sets)
                done += check_draws(file, sweep, sets)
                done += check_circuit(file, sweep, summary, sets, subsets)
    require(done > 0, "nothing to compare")
    return done


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        try:
            print("%s: %d figures are those of numpy" % (path, check(path)))
        except Difference as difference:
            sys.exit("%s: %s" % (path, difference))


if __name__ == "__main__":
    main()
