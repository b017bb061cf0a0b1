#!/usr/bin/env python3
"""Whole runs of the binary on the bundled model: the same bytes whatever the memory, the threads, the
chunks in flight when it was stopped or killed; never more memory than it was given.

    tests/invariants/test_runs.py        PATCHBAY: the binary (default build/release/patchbay)
"""
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

PATCHBAY = os.environ.get("PATCHBAY", "build/release/patchbay")
SANITIZED = "/asan/" in os.path.abspath(PATCHBAY)  # its shadow memory is not ours to count
CONFIG = """
model: {path: data/boxbench}
task: {name: box, boxes: 3, moves: 2, pairs: %d, corrupt: state, seed: 5}
sweep:
  - {intervention: patch, site: z, direction: denoise, positions: all}
  - {intervention: patch, site: z, direction: noise, positions: each}
metrics: [logit_diff, prob, rank, kl, candidates]
engine: {chunk: 4}
"""
passed = failed = skipped = 0


def check(name, ok, detail=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(f"{'ok' if ok else 'FAILED'}: {name} {detail}")


def run(config, out, *options, expect=0):
    """Run to the end; (stderr, peak resident bytes of this child)."""
    with tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen([PATCHBAY, "run", config, "-o", out, *options],
                                 stdout=subprocess.DEVNULL, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        text = err.read()
    if child.returncode != expect:
        raise SystemExit(f"exit status {child.returncode}, not {expect}: {text}")
    return text, usage.ru_maxrss * 1024


def datasets(path):
    """Bytes of every numeric dataset; /checks has times of no interest, but no dataset of them."""
    found = {}
    with h5py.File(path) as f:
        f.visititems(lambda name, item: found.__setitem__(name, np.asarray(item[()]).tobytes())
                     if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf" else None)
    return found


def same(name, a, b, leave_out=()):
    a, b = datasets(a), datasets(b)
    differing = [k for k in a.keys() | b.keys() if k not in leave_out and a.get(k) != b.get(k)]
    check(name, not differing and len(a) > 20, f"{len(a)} datasets; differing: {differing[:5]}")


def interrupted(config, out, how):
    """Start a run, stop it as soon as its first part is there, and run it again to the end."""
    child = subprocess.Popen([PATCHBAY, "run", config, "-o", out, "--threads", "1"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    parts = Path(out + ".parts")
    while not list(parts.glob("chunk-*.h5")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    child.send_signal(how)
    status = child.wait(120)
    left = len(list(parts.glob("chunk-*.h5")))
    text, _ = run(config, out, "--threads", "1")
    return status, left, text


def main():
    with tempfile.TemporaryDirectory() as temp:
        config, small = f"{temp}/run.yaml", f"{temp}/small.yaml"
        Path(config).write_text(CONFIG % 40)
        Path(small).write_text(CONFIG % 8)
        reference = f"{temp}/reference.h5"
        run(config, reference, "--threads", "1")

        run(config, f"{temp}/again.h5", "--threads", "1")
        same("the same run twice", reference, f"{temp}/again.h5")
        run(config, f"{temp}/two.h5", "--threads", "2")
        same("two threads", reference, f"{temp}/two.h5")

        text, _ = run(config, f"{temp}/none.h5", "--memory", "1M", expect=2)
        least = re.search(r"needs at least (\d+) MiB", text)
        check("too little memory says how much is needed", least, text.strip()[:100])
        left = [p.name for p in Path(temp).iterdir() if p.name.startswith("none")]
        check("and leaves nothing behind", not left, str(left))
        if least:
            limit = int(least.group(1)) + 2
            _, peak = run(config, f"{temp}/tight.h5", "--threads", "1", "--memory", f"{limit}M")
            same(f"{limit} MiB", reference, f"{temp}/tight.h5")
            if not SANITIZED:
                check("stays within the memory it was given", peak <= limit << 20,
                      f"peak {peak >> 20} MiB of {limit}")

        for how, want in ((signal.SIGTERM, 75), (signal.SIGKILL, -9)):
            out = f"{temp}/{how.name}.h5"
            status, left, text = interrupted(config, out, how)
            check(f"{how.name} leaves finished chunks", status == want and 0 < left < 10,
                  f"status {status}, {left} of 10 chunks")
            check(f"{how.name}: the next run continues", "continuing" in text, text.strip()[:80])
            same(f"{how.name} and continued", reference, out)
            check(f"{how.name}: the parts are gone", not os.path.exists(out + ".parts"))

        text, _ = run(config, reference)
        check("a complete output is left alone", "already complete" in text, text.strip()[:80])
        before = Path(reference).read_bytes()
        text, _ = run(small, reference, expect=2)
        check("a different experiment is refused", "--force" in text, text.strip()[:120])
        check("and the file is untouched", Path(reference).read_bytes() == before)
        run(small, reference, "--force")
        with h5py.File(reference) as f:
            n = f["pairs/length"].shape[0]
        check("--force replaces it", n == 8, f"{n} pairs")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
