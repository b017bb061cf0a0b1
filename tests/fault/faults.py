"""What the tests that make runs go wrong have in common: small runs, the program with something
preloaded into it, comparing result files to the bit, and what every message must be."""
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

PATCHBAY = os.path.abspath(os.environ.get("PATCHBAY", "build/release/patchbay"))
BUILD = os.path.abspath(os.environ.get("BUILD", "build/release"))
SANITIZED = "/asan/" in PATCHBAY  # slower by much: fewer of everything
N_WORKERS = min(2, len(os.sched_getaffinity(0)))

# Long enough to be hit while it computes: base runs, sweeps and checks of four chunks, half a second.
RUN = """
model: {path: data/boxbench}
task: {name: box, boxes: 3, moves: 1, pairs: 4, corrupt: state, seed: 5}
sweep:
  - {intervention: patch, site: z, direction: denoise, positions: all}
readings: none
metrics: [logit_diff]
engine: {chunk: 1}
"""
# Hardly anything but files: three chunks of a model of 30 KB, every kind of dataset.
TINY = """
model: {path: tests/golden/engine/gpt2_plain}
pairs: tests/golden/engine/gpt2_plain/pairs.jsonl
sweep:
  - {intervention: patch, site: z, direction: denoise, positions: all}
metrics: [logit_diff]
engine: {chunk: 3}
"""
EVAL = """
model: {path: data/boxbench}
task: {name: dfa, mode: strict, prompts: 4, seed: 0}
grid: {states: [4, 8], steps: [3, 5]}
engine: {chunk: 4}
"""

passed = failed = skipped = 0
LOCK = threading.Lock()


def check(name, ok, detail=""):
    global passed, failed
    with LOCK:
        passed, failed = passed + bool(ok), failed + (not ok)
        if not ok:
            print(f"FAILED: {name}: {detail}", flush=True)
    return bool(ok)


def skip(name, why):
    global skipped
    with LOCK:
        skipped += 1
        print(f"skipped: {name}: {why}", flush=True)


def totals():
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed != 0)


def number(name, default):
    """How many of something: PB_KILLS=2000 in the environment, else the default (a tenth of it, at
    least one, under sanitizers)."""
    given = os.environ.get(name)
    if given:
        return int(given)
    return max(1, default // 10) if SANITIZED else default


def sanitized(what):
    """Whether this is a build with sanitizers, whose own library stands before what is preloaded, and
    for which HDF5's losses on failing files are findings: then it is counted as skipped."""
    if SANITIZED:
        skip(what, "a build without sanitizers is needed")
    return SANITIZED


def shim(name):
    return f"{BUILD}/tests/fault/shim/{name}.so"


def environment(preload=None, **variables):
    env = dict(os.environ, OMP_WAIT_POLICY="passive", **{k: str(v) for k, v in variables.items()})
    if preload:
        env["LD_PRELOAD"] = shim(preload)
        # the shim comes before the sanitizer's library, and may
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return env


class Job:
    """One run or evaluation (with options, a shard of one): its config, what its result must be."""

    def __init__(self, name, config, temp, *options):
        self.name, self.options = name, options
        self.verb = "eval" if "grid:" in config else "run"
        self.config = f"{temp}/{name}.yaml"
        Path(self.config).write_text(config)
        self.prepare(temp)

    def prepare(self, temp):
        """What it makes when nothing goes wrong."""
        self.reference = self.output(temp, f"{self.name}-reference")
        done = self.start(self.reference, check=True)
        clean(f"{self.name}: the uninterrupted run", done)
        self.want = contents(self.reference)

    def output(self, folder, name="out"):
        """The file that a run with -o NAME.h5 makes in a folder."""
        return f"{folder}/{name}{self.suffix()}.h5"

    def suffix(self):
        if "--shard" not in self.options:
            return ""
        return ".shard-{}-of-{}".format(*self.options[1].split("/"))

    def command(self, out, *options):
        out = str(out).replace(self.suffix() + ".h5", ".h5")
        return [PATCHBAY, self.verb, self.config, "-o", out, "--threads", "1", *self.options,
                *options]

    def start(self, out, *options, env=None, check=False):
        return subprocess.run(self.command(out, *options), env=env or environment(),
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              errors="replace", timeout=300, check=check)

    def finish(self, name, out, *options, env=None):
        """Run to the end: the right bytes, nothing else left in the folder."""
        done = self.start(out, *options, env=env)
        clean(name, done)
        ok = check(f"{name}: continues to the end", done.returncode == 0,
                   f"status {done.returncode}: {done.stderr[-600:]}")
        return done, ok and self.compare(name, out) and nothing_left(name, out)

    def compare(self, name, out):
        try:
            have = contents(out)
        except OSError as error:
            return check(f"{name}: the result opens", False, error)
        wrong = differences(self.want, have)
        return check(f"{name}: same bytes", not wrong, f"differing: {wrong[:6]}")


class Merge(Job):
    """Shards into one file, which has the values of the whole run."""

    def __init__(self, whole, temp, n=2):
        self.name, self.verb, self.options = f"{whole.name}-merge", "merge", ()
        self.shards = [f"{temp}/{whole.name}.shard-{i}-of-{n}.h5" for i in range(n)]
        for i in range(n):
            clean(f"{self.name}: shard {i}", whole.start(f"{temp}/{whole.name}.h5", "--shard",
                                                         f"{i}/{n}", check=True))
        self.prepare(temp)
        wrong = [k for k in differences(whole.want, self.want) if "@" not in k]
        check(f"{self.name}: the values of the whole run", not wrong, wrong)

    def command(self, out, *options):
        return [PATCHBAY, "merge", str(out), *self.shards, *options]


# What a second run of the same experiment may have otherwise: times, the output's name, and sums over
# them; of a shard its description of the experiment (with the output's name) too.
OF_THE_RUN = re.compile(r"@(started|finished|seconds_computing|command|config|merge_command)|"
                        r"checks@attributes_sha256|/experiment|experiment@sha256|"
                        r"chunks/\d+@(seconds|finished|content_sha256)")
NOTHING = re.compile(r"(?!)")


def contents(path):
    """Every dataset and attribute of a file, in bytes and text that compare exactly."""
    found = {}

    def plain(value):
        if isinstance(value, (bytes, str)):
            return value
        value = np.asarray(value)
        if value.dtype.kind == "O":
            return [v if isinstance(v, (bytes, str)) else repr(v) for v in value.ravel()]
        return (value.dtype.str, value.shape, value.tobytes())

    def visit(name, item):
        for key, value in item.attrs.items():
            if key in ("DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Coordinates"):
                continue
            found[f"{name}@{key}"] = plain(value)
        if isinstance(item, h5py.Dataset):
            found["/" + name] = plain(item[()])
        else:
            found[name + "/"] = sorted(item)

    with h5py.File(path, "r") as f:
        visit("", f)
        f.visititems(visit)
    return found


def readable(path):
    try:
        return contents(path)
    except Exception:  # whatever h5py says to a damaged file
        return {}


def differences(want, have, may_differ=OF_THE_RUN):
    return sorted(k for k in want.keys() | have.keys()
                  if want.get(k) != have.get(k) and not may_differ.fullmatch(k))


def nothing_left(name, out):
    """No part, no temporary file: of what begins like the output there is the output alone."""
    out = Path(out)
    left = sorted(p.name for p in out.parent.iterdir() if p.name.startswith(out.name) and p != out)
    return check(f"{name}: nothing is left behind", not left, left)


def clean(name, done):
    """No signal, no stack of HDF5, no report of a sanitizer; a failure says so in one line of ours."""
    text = done.stderr
    noise = [w for w in ("HDF5-DIAG", "#000", "AddressSanitizer", "runtime error", "terminate called",
                         "free(): ", "malloc(): ", "double free", "Assertion") if w in text]
    ok = check(f"{name}: no noise", not noise, f"{noise}: {text[:800]}")
    ok &= check(f"{name}: no crash", done.returncode in (0, 1, 2, 75),
                f"status {done.returncode}: {text[-800:]}")
    if done.returncode in (1, 2):
        lines = [x for x in text.splitlines()
                 if x.startswith("patchbay: ") and not x.startswith("patchbay: warning")]
        ok &= check(f"{name}: says why", lines and ": " in lines[-1][10:], text[:800])
    return ok


def each(work, jobs):
    """work(job) for all jobs, on the processors there are; a test that dies counts as failed."""
    def one(job):
        try:
            work(job)
        except Exception as error:  # the others go on
            check(f"{work.__name__}{job}", False, repr(error))
    with ThreadPoolExecutor(N_WORKERS) as pool:
        list(pool.map(one, jobs))


# ---- the journal of shim/files.c ----------------------------------------------------------------

def journal(path):
    """[(name, path, offset, data)]"""
    blob, at, found = Path(path).read_bytes(), 0, []
    while at < len(blob):
        end = blob.index(b"\n", at)
        name, file, offset, size = blob[at:end].decode().split("\t")
        found.append((name, file, int(offset), blob[end + 1:end + 1 + int(size)]))
        at = end + 1 + int(size)
    return found
