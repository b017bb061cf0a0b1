#!/usr/bin/env python3
"""`patchbay eval`: against transformers in float64 prompt by prompt (evaluation.json, made by
make_evaluation.py), its file against numpy, and the same bytes whatever the memory, the processes, a
stop on the way; damage is noticed.

    tests/golden/test_evaluation.py        PATCHBAY: the binary; PB_EMU_DIR: that of the emulated device
"""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from check_file import Defect, check_checksums, check_dataset, datasets

HERE = Path(__file__).resolve().parent
PATCHBAY = os.path.abspath(os.environ.get("PATCHBAY", "build/release/patchbay"))
EMULATED = os.path.abspath(os.environ.get("PB_EMU_DIR", "build/emu")) + "/patchbay"
SANITIZED = "/asan/" in PATCHBAY
MODEL = HERE.parents[1] / "data/boxbench"
ENV = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
           OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_btl_vader_single_copy_mechanism="none",
           OMPI_MCA_btl="self,vader")
if SANITIZED:
    ENV["ASAN_OPTIONS"] = ENV.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
SUBSETS = {"": lambda p: np.ones(p["length"].shape, bool),
           "_determined": lambda p: p["determined"] == 1,
           "_undetermined": lambda p: p["determined"] == 0,
           "_joint": lambda p: p["joint"] == 1,
           "_moved": lambda p: p["moved"] == 1,
           "_unmoved": lambda p: p["moved"] == 0}
passed = failed = skipped = 0


def check(name, ok, detail=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(f"{'ok' if ok else 'FAILED'}: {name} {detail}", flush=True)


def config(task, options, axes, prompts, chunk="auto"):
    fixed = "".join(f", {k}: {v}" for k, v in options.items())
    grid = "".join(f"  {k}: {v}\n" for k, v in axes.items())
    return (f"model: {{path: {MODEL}}}\ntask: {{name: {task}, prompts: {prompts}{fixed}}}\n"
            f"grid:\n{grid}engine: {{chunk: {chunk}}}\n")


def run(folder, name, text, *options, program=PATCHBAY, before=()):
    (folder / f"{name}.yaml").write_text(text)
    return subprocess.run([*before, program, "eval", str(folder / f"{name}.yaml"), "-o",
                           str(folder / f"{name}.h5"), *options], env=ENV, capture_output=True,
                          text=True)


def prompts_of(file):
    """The columns, cells and prompts as one axis."""
    n = file["cells/available"].size
    return {k: v[...].reshape((n, file["prompt"].size) + v.shape[file["cells/available"].ndim + 1:])
            for k, v in file["prompts"].items()
            if isinstance(v, h5py.Dataset) and v.ndim > file["cells/available"].ndim}


# ---- against transformers ------------------------------------------------------------------------

def check_golden(folder):
    golden = json.loads((HERE / "evaluation.json").read_text())
    weights = hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest()
    check("the goldens are of this model", golden["model_sha256"] == weights)
    for case in golden["cases"]:
        task = case["task"]
        done = run(folder, task, config(task, case["options"], case["axes"], case["count"]))
        check(f"{task}: it runs", done.returncode == 0, done.stderr[-500:])
        if done.returncode != 0:
            continue
        with h5py.File(folder / f"{task}.h5") as file:
            p = prompts_of(file)
            texts = [hashlib.sha256(t).hexdigest()[:12] for t in p["text"].ravel()]
            check(f"{task}: the same {len(texts)} prompts", texts == case["prompts"])
            check(f"{task}: the same argmax", p["argmax"].ravel().tolist() == case["argmax"])
            off = np.abs(p["logprob_answer"].ravel() - np.array(case["logprob"])).max()
            check(f"{task}: log-probabilities", off <= 1e-4, f"off by {off:.2g} at most")


# ---- the file ------------------------------------------------------------------------------------

def wilson(k, n):
    z2 = 1.959963984540054 ** 2
    half = np.sqrt(k / n * (1 - k / n) * z2 / n + z2 * z2 / (4 * n * n))
    return (k / n + z2 / (2 * n) - half) / (1 + z2 / n), (k / n + z2 / (2 * n) + half) / (1 + z2 / n)


def check_subset(s, p, suffix, chosen, near):
    for cell in range(len(chosen)):
        mine = chosen[cell] & (p["length"][cell] > 0)
        n = mine.sum()
        if not near("n_prompts", suffix, cell, n):
            return False
        if n == 0:
            if not np.isnan(s["accuracy" + suffix][cell]):
                return False
            continue
        right, candidate = p["right"][cell][mine], p["right_candidate"][cell][mine]
        low, high = wilson(right.sum(), n)
        logprob = p["logprob_answer"][cell][mine]
        wanted = {"accuracy": right.mean(), "accuracy_ci_low": low, "accuracy_ci_high": high,
                  "candidate_accuracy": candidate.mean(), "logprob_answer": logprob.mean(),
                  "mass": p["mass"][cell][mine].mean(),
                  "margin": np.nanmean(p["margin"][cell][mine]),
                  "chance": (p["n_answers"][cell][mine] / p["n_candidates"][cell][mine]).mean()}
        if n > 1:
            wanted["logprob_answer_stderr"] = logprob.std(ddof=1) / np.sqrt(n)
        for rule in ("last_of_action", "last_of_state", "most_frequent"):
            if rule in p:
                wanted[rule] = (p[rule][cell][mine] == 1).mean()
        if not all(near(k, suffix, cell, v) for k, v in wanted.items()):
            return False
    return True


def check_figures(path, name):
    """Columns follow from the tokens and logits in the file, the summary from the columns."""
    with h5py.File(path) as file:
        p = prompts_of(file)
        there = p["length"] > 0
        answers, candidates = p["answers"], p["candidates"]
        is_answer = (answers >= 0)
        right = ((p["argmax"][..., None] == answers) & is_answer).any(-1)
        check(f"{name}: right is whether the argmax is an answer",
              np.array_equal(p["right"][there], right[there]))
        logprob = p["candidate_logprob"]
        best = np.where(candidates >= 0, logprob, -np.inf).argmax(-1)
        check(f"{name}: the best candidate", np.array_equal(
            np.take_along_axis(candidates, best[..., None], -1)[..., 0][there],
            p["argmax_candidate"][there]))
        match = (candidates[..., None, :] == answers[..., :, None]) & is_answer[..., None]
        of_answers = np.where(match, logprob[..., None, :], -np.inf).max(-1)
        mass = np.exp(of_answers).sum(-1)
        check(f"{name}: mass and log-probability",
              np.allclose(mass[there], p["mass"][there], atol=1e-6) and
              np.allclose(of_answers[..., 0][there], p["logprob_answer"][there], atol=1e-5))
        s = {k: v[...].ravel() for k, v in file["summary"].items()
             if isinstance(v, h5py.Dataset) and not k.endswith("_mask")}

        def near(figure, suffix, cell, want):
            got = s[figure + suffix][cell]
            if abs(got - want) <= 1e-12 * max(1, abs(want)):
                return True
            print(f"    {figure}{suffix} of cell {cell}: {got}, numpy has {want}")
            return False
        for suffix, choose in SUBSETS.items():
            if "accuracy" + suffix in s:
                check(f"{name}: figures{suffix or ' of all'}",
                      check_subset(s, p, suffix, choose(p), near))


def check_format(path, name):
    try:
        with h5py.File(path) as file:
            found = datasets(file)
            for where, data in found.items():
                check_dataset(file, where, data)
            check_checksums(file, found)
        for engine in ("netcdf4", "h5netcdf"):
            with xr.open_dataset(path, group="summary", engine=engine) as summary:
                first = summary["accuracy"]
                if not all(d in first.coords for d in first.dims) or first.ndim == 0:
                    raise Defect(f"{engine}: {first.dims} without coordinates")
        check(f"{name}: h5py and xarray read it", True)
    except Defect as defect:
        check(f"{name}: h5py and xarray read it", False, str(defect))


# ---- the same bytes ------------------------------------------------------------------------------

def contents(path):
    """The checksums of all datasets but those of the check's own figures of time."""
    with h5py.File(path) as file:
        return {p: h for p, h in zip(file["checks/sha256_path"][...], file["checks/sha256"][...])}


def stopped(folder, name, text):
    """Stopped by SIGTERM as soon as there is a part; True when it said so."""
    (folder / f"{name}.yaml").write_text(text)
    work = subprocess.Popen([PATCHBAY, "eval", str(folder / f"{name}.yaml"), "-o",
                             str(folder / f"{name}.h5"), "--threads", "1"], env=ENV,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    parts = folder / f"{name}.h5.parts"
    while work.poll() is None and not (parts.is_dir() and list(parts.glob("chunk-*.h5"))):
        time.sleep(0.002)
    work.send_signal(signal.SIGTERM)
    _, said = work.communicate()
    return work.returncode == 75 and "run the same command again" in said


def check_bytes(folder):
    text = config("box", {}, {"boxes": [2, 3], "moves": "1..3"}, 60, chunk=16)
    first = run(folder, "first", text, "--threads", "1")
    check("in chunks of 16 prompts", first.returncode == 0, first.stderr[-300:])
    want = contents(folder / "first.h5")
    done = run(folder, "small", text, "--memory", "120M" if not SANITIZED else "2G", "--threads", "2")
    check("with little memory, the same bytes",
          done.returncode == 0 and contents(folder / "small.h5") == want, done.stderr[-300:])
    check("stopped, it can be resumed", stopped(folder, "resumed", text))
    done = run(folder, "resumed", text)
    check("resumed, the same bytes", done.returncode == 0 and "continuing" in done.stderr and
          contents(folder / "resumed.h5") == want, done.stderr[-300:])
    check("no parts are left", not (folder / "resumed.h5.parts").exists())
    done = run(folder, "resumed", text)
    check("complete, it says so", done.returncode == 0 and "already complete" in done.stderr)
    done = run(folder, "resumed", text.replace("prompts: 60", "prompts: 61"))
    check("another evaluation is refused", done.returncode == 2 and
          "different experiment" in done.stderr, done.stderr[-200:])
    check_ranks(folder, text, want)
    check_emulated(folder, text, folder / "first.h5")


def check_ranks(folder, text, want):
    global skipped
    if shutil.which("mpirun") is None or not Path(PATCHBAY).with_name("libpatchbay_mpi.so").exists():
        print("skipped: several processes: no MPI here")
        skipped += 1
        return
    done = run(folder, "ranks", text, "--threads", "1", before=("mpirun", "-n", "2"))
    check("two processes, the same bytes",
          done.returncode == 0 and contents(folder / "ranks.h5") == want, done.stderr[-300:])


def check_emulated(folder, text, cpu):
    global skipped
    if SANITIZED or not Path(EMULATED).exists():
        print("skipped: the emulated device: not in this build")
        skipped += 1
        return
    done = run(folder, "emulated", text.replace("prompts: 60", "prompts: 8"), "--backend", "cuda",
               program=EMULATED)
    check("on the emulated device", done.returncode == 0, done.stderr[-300:])
    if done.returncode != 0:
        return
    with h5py.File(cpu) as a, h5py.File(folder / "emulated.h5") as b:
        x, y = prompts_of(a), prompts_of(b)
        off = np.abs(x["logprob_answer"][:, :8] - y["logprob_answer"]).max()
        check("it agrees with the cpu backend", off <= 1e-5 and
              np.array_equal(x["argmax"][:, :8], y["argmax"]), f"off by {off:.2g}")


# ---- verify, info and what is no evaluation ------------------------------------------------------

def call(*words):
    return subprocess.run([PATCHBAY, *map(str, words)], env=ENV, capture_output=True, text=True)


def check_verbs(folder):
    good = folder / "first.h5"
    done = call("verify", good)
    check("verify accepts it", done.returncode == 0, done.stdout[-300:])
    done = call("info", good)
    check("info shows the grid", done.returncode == 0 and "2 boxes x 3 moves" in done.stdout)
    done = call("top", good)
    check("top says that it has no sweeps", done.returncode == 2 and "evaluation" in done.stderr)
    for where, change in (("summary/accuracy", 0.25), ("prompts/logprob_answer", -3.0),
                          ("prompts/argmax", 5)):
        bad = folder / "bad.h5"
        shutil.copy(good, bad)
        with h5py.File(bad, "r+") as file:
            file[where][(0,) * file[where].ndim] = change
        done = call("verify", bad)
        check(f"verify notices another {where}", done.returncode == 1 and where in done.stdout,
              done.stdout[-200:])
    missing = config("fruit", {}, {"people": [2, 4], "clues": [1, 3]}, 10)
    done = run(folder, "fruit", missing)
    check("cells that do not exist are left out", done.returncode == 0 and
          "people 2, clues 3 is not available" in done.stderr and "n/a" in done.stdout,
          done.stderr[-300:])
    with h5py.File(folder / "fruit.h5") as file:
        check("they are marked", file["cells/available"][...].tolist() == [[1, 0], [1, 1]] and
              b"clues out of range" in file["cells/why"][0, 1] and
              np.isnan(file["summary/accuracy"][0, 1]))
    done = call("verify", folder / "fruit.h5")
    check("verify accepts such a file", done.returncode == 0, done.stdout[-300:])
    done = run(folder, "dry", missing, "--dry-run")
    check("a dry run makes nothing", done.returncode == 0 and "1 not available" in done.stdout and
          not (folder / "dry.h5").exists(), done.stdout)


# ---- a sweep on each cell of a grid --------------------------------------------------------------

SWEEPS = """sweep:
  - {site: z, positions: last}
  - {site: mlp_out, direction: noise, positions: each}
readings: none
"""


def sweep(folder, name, task, *options):
    (folder / f"{name}.yaml").write_text(f"model: {{path: {MODEL}}}\n{task}{SWEEPS}")
    return subprocess.run([PATCHBAY, "run", str(folder / f"{name}.yaml"), "-o",
                           str(folder / f"{name}.h5"), "--threads", "1", *options], env=ENV,
                          capture_output=True, text=True)


def check_cells(folder):
    """What stands of a cell is what a run of that cell alone has, to the bit."""
    grid = sweep(folder, "grid", "task: {name: box, pairs: 6, corrupt: matched}\n"
                                 "grid: {boxes: [3, 4], moves: [1, 2]}\n")
    alone = sweep(folder, "alone", "task: {name: box, pairs: 6, corrupt: matched, boxes: 4, "
                                   "moves: 1}\n")
    check("a sweep on each cell", grid.returncode == 0 and alone.returncode == 0,
          (grid.stderr + alone.stderr)[-300:])
    if grid.returncode != 0 or alone.returncode != 0:
        return
    check("the strongest of each cell is shown", "strongest in each cell" in grid.stdout and
          "boxes 4    moves 1" in grid.stdout and "strongest in" not in alone.stdout)
    with h5py.File(folder / "grid.h5") as file, h5py.File(folder / "alone.h5") as one:
        check("whose each pair is", file["pairs/cell"][...].tolist() ==
              [c for c in range(4) for _ in range(6)])
        check("the cell's share of right pairs",
              file["cells/right"][1, 0] == one["pairs/right"][...].mean() and
              file["cells/n_pairs"][...].tolist() == [[6, 6], [6, 6]])
        check("pairs of a cell", file["pair_in_cell"][...].tolist() == list(range(6)))
        mine = slice(12, 18)
        for name in one["sweeps"]:
            raw, ours = file["sweeps"][name], one["sweeps"][name]
            same = np.array_equal(raw["logit_diff"][mine][..., :ours["logit_diff"].shape[-1]],
                                  ours["logit_diff"][...], equal_nan=True)
            check(f"{name}: raw values of the cell", same)
            views = [k for k in raw if not k.endswith("_mask") and
                     isinstance(raw[k], h5py.Dataset) and not h5py.h5ds.is_scale(raw[k].id)]
            off = [k for k in views
                   if not np.array_equal(raw["cells"][k][...].reshape(raw[k].shape), raw[k][...],
                                         equal_nan=True) or not raw["cells"][k].is_virtual]
            check(f"{name}: (cell, pair, layer, head, ...) of {len(views)} datasets",
                  len(views) >= 1 and raw["cells/logit_diff"].shape[:3] == (2, 2, 6) and not off,
                  off)
            if name.endswith("each"):
                continue  # positions count from the end where lengths differ, as they do here
            fields = [k for k in ours["summary"] if isinstance(ours["summary"][k], h5py.Dataset) and
                      k in raw["cells"] and not h5py.h5ds.is_scale(ours["summary"][k].id)]
            off = [k for k in fields if not k.endswith("_mask") and
                   not np.array_equal(raw["cells"][k][1, 0], ours["summary"][k][...],
                                      equal_nan=True)]
            check(f"{name}: {len(fields)} figures of the cell", len(fields) >= 26 and not off, off)
            groups = raw["summary/matched/n_groups"][...]
            check(f"{name}: groups of all cells", (groups == 12).all(), groups.ravel()[:3])
    check_format_of_run(folder / "grid.h5")
    done = call("verify", folder / "grid.h5")
    check("verify accepts it", done.returncode == 0, done.stdout[-300:])


def check_reachable(folder):
    """Prompts by powers of ten of their reachable states and by steps, from what the task says."""
    made = run(folder, "adventure_grid", config(
        "adventure", {"objects": 2}, {"containers": [1, 3], "steps": [2, 6], "rooms": [3, 6]}, 12))
    check("adventure: a grid", made.returncode == 0, made.stderr[-300:])
    if made.returncode != 0:
        return
    path = folder / "adventure_grid.h5"
    with h5py.File(path) as file:
        p = prompts_of(file)
        said = np.array([json.loads(t)["reachable"] for t in p["extra"].ravel()], float)
        check("adventure: reachable is what the task says",
              np.array_equal(file["prompts/reachable"][...].ravel(), said))
        by, bins = file["by_reachable"], file["reachable"][...]
        check("adventure: the bins", len(bins) >= 2 and
              np.array_equal(bins, 10.0 ** (np.log10(bins[0]) + np.arange(len(bins)))) and
              bins[0] <= said.min() < 10 * bins[0] and bins[-1] <= said.max() < 10 * bins[-1])
        check("adventure: (reachable, steps)", by["accuracy"].shape == (len(bins), 2))
        of_steps = np.broadcast_to(np.arange(2)[None, :, None, None], (2, 2, 2, 12)).ravel()
        right, logprob = p["right"].ravel(), p["logprob_answer"].ravel()
        off = []
        for b, low in enumerate(bins):
            for s in range(2):
                mine = (said >= low) & (said < 10 * low) & (of_steps == s)
                same = by["n_prompts"][b, s] == mine.sum() and (not mine.any() or (
                    abs(by["accuracy"][b, s] - right[mine].mean()) < 1e-12 and
                    abs(by["logprob_answer"][b, s] - logprob[mine].mean()) < 1e-12 and
                    np.allclose((by["accuracy_ci_low"][b, s], by["accuracy_ci_high"][b, s]),
                                wilson(right[mine].sum(), mine.sum()), atol=1e-12)))
                off += [] if same else [(low, s)]
        check("adventure: figures by reachable states and steps", not off, off)
    check("adventure: the table", "accuracy by states that can be reached" in made.stdout)
    check_figures(path, "adventure")
    check_format(path, "adventure")
    done = call("verify", path)
    check("adventure: verify accepts it", done.returncode == 0, done.stdout[-300:])
    with h5py.File(path, "r+") as file:
        file["by_reachable/accuracy"][0, 0] += 0.125
    done = call("verify", path)
    check("adventure: verify sees another figure", done.returncode == 1 and
          "/by_reachable/accuracy" in done.stdout + done.stderr, done.stdout[-200:])


def check_format_of_run(path):
    done = subprocess.run([sys.executable, str(HERE / "check_file.py"), str(path)],
                          capture_output=True, text=True)
    check("its format", done.returncode == 0, (done.stdout + done.stderr)[-300:])


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check_golden(folder)
        paper = config("dfa", {"mode": "paper"}, {"states": [4, 8], "steps": [6, 20]}, 40)
        done = run(folder, "paper", paper)
        check("prompts that do not determine their answers", done.returncode == 0,
              done.stderr[-300:])
        for made in ("box", "paper"):
            check_figures(folder / f"{made}.h5", made)
            check_format(folder / f"{made}.h5", made)
        check_bytes(folder)
        check_verbs(folder)
        check_cells(folder)
        check_reachable(folder)
        check_figures(folder / "fruit.h5", "fruit")
        check_format(folder / "fruit.h5", "fruit")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
