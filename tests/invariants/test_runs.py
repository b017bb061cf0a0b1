#!/usr/bin/env python3
"""Whole runs of the binary on the bundled model: the same bytes whatever the memory, the threads, the
size of chunks, the chunks in flight when it was stopped or killed; never more memory than it was
given.

    tests/invariants/test_runs.py        PATCHBAY: the binary (default build/release/patchbay)
"""
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

PATCHBAY = os.environ.get("PATCHBAY", "build/release/patchbay")
SANITIZED = "/asan/" in os.path.abspath(PATCHBAY)  # its shadow memory is not ours to count
CONFIG = """
model: {path: data/boxbench}
task: {name: box, boxes: 3, moves: 1, pairs: %d, corrupt: state, seed: 5}
sweep:
  - {intervention: patch, site: z, direction: denoise, positions: all}
  - {intervention: patch, site: z, direction: noise, positions: each}
metrics: [logit_diff, prob, rank, kl, candidates]
engine: {chunk: 2}
"""
# A sweep of each kind. Pairs are resampled from other chunks; the two resid sweeps share what they
# have in common.
KINDS = """
model: {path: data/boxbench}
task: {name: box, boxes: 3, moves: 1, pairs: 6, corrupt: state, seed: 5}
sweep:
  - {intervention: resample, site: z, seed: 3}
  - {intervention: mean, site: q, reference: {over: corrupted, by: role}}
  - {intervention: mean, site: resid_mid, reference: {over: FOLDER/long.jsonl}, positions: last}
  - {intervention: control, site: z, seed: 4}
  - {intervention: control, site: mlp_post, layers: [3], direction: noise}
  - {sets: {a: [L0H1, M1, L2H3], b: [L1H0, L3H7], random: {size: 3, count: 2}}}
  - {intervention: zero, site: v, complement: true, sets: {a: [L0H1, M1, L2H3], b: [L1H0]}}
  - {intervention: path, sender: head, receiver: q, layers: [0, 2], receiver_heads: [1, 5]}
  - {intervention: path, sender: mlp, receiver: [L2H1.k, L3H4.v, M2, logits], freeze: attention}
  - {site: pattern, positions: each_key, layers: [2], heads: [3]}
  - {site: resid_pre, positions: each}
  - {site: resid_post, positions: each}
  - {intervention: scale, alpha: [0.5, 2], site: mlp_out, window: 3}
  - {intervention: add, alpha: [1, -1], site: z, vector: FOLDER/vector.safetensors}
  - {intervention: project, site: resid_post, subspace: FOLDER/subspace.safetensors}
metrics: [logit_diff, candidates]
readings: [head_scores]
save: [control, mlp_out]
engine: {chunk: CHUNK}
"""
# Sweeps whose sources need more memory than the chunks do, each to be run by itself.
GREEDY = """
model: {path: data/boxbench}
pairs: FOLDER/equal.jsonl
sweep: ROW
readings: none
save: SAVE
engine: {chunk: CHUNK}
"""
GREEDY_ROWS = (
    "{intervention: mean, site: mlp_out, positions: last, reference: {over: FOLDER/long.jsonl}}",
    "{intervention: mean, site: pattern, positions: last, reference: {by: position}}",
    "{intervention: control, site: mlp_post, positions: last}",
    "{intervention: path, sender: head, receiver: [L3H0.q, M3, logits], layers: [1]}",
)
passed = failed = skipped = 0
LOCK = threading.Lock()


def check(name, ok, detail=""):
    global passed, failed
    with LOCK:
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


def same(name, a, b, leave_out=lambda name: False):
    a, b = datasets(a), datasets(b)
    differing = [k for k in a.keys() | b.keys() if not leave_out(k) and a.get(k) != b.get(k)]
    check(name, not differing and len(a) > 20, f"{len(a)} datasets; differing: {differing[:5]}")


def interrupted(config, out, how):
    """Start a run, stop it as soon as its first part is there, and run it again to the end. How it
    ended, the parts that it left, what the second run said."""
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


def write_tensor(path, name, values):
    values = np.ascontiguousarray(values, "<f4")
    header = json.dumps({name: {"dtype": "F32", "shape": list(values.shape),
                                "data_offsets": [0, values.nbytes]}}).encode()
    Path(path).write_bytes(struct.pack("<Q", len(header)) + header + values.tobytes())


def write_config(path, text, folder, chunk=2):
    Path(path).write_text(text.replace("FOLDER", folder).replace("CHUNK", str(chunk)))
    return path


def within_memory(name, config, out, reference=None):
    """Run with little more than the memory that it says it needs."""
    text, _ = run(config, f"{out}.none", "--memory", "1M", expect=2)
    least = re.search(r"needs at least (\d+) MiB", text)
    check(f"{name}: too little memory says how much is needed", least, text.strip()[:100])
    left = [p.name for p in Path(out).parent.iterdir() if p.name.startswith(Path(out).name)]
    check(f"{name}: and leaves nothing behind", not left, str(left))
    if not least:
        return
    limit = int(least.group(1)) + 2
    _, peak = run(config, out, "--threads", "1", "--memory", f"{limit}M")
    if reference:
        same(f"{name}: {limit} MiB", reference, out)
    if not SANITIZED:
        check(f"{name}: stays within the memory it was given", peak <= limit << 20,
              f"peak {peak >> 20} MiB of {limit}")


def check_kinds(temp):
    """The same bytes of every kind of sweep."""
    rng = np.random.default_rng(6)
    prompts = rng.integers(1, 1000, (7, 500)).tolist()
    for name, lines in (("long", [{"prompt": p} for p in prompts[:4]]), ("equal", [
            {"clean": p[:90], "corrupted": p[:40] + [9] + p[41:90], "answer": 1, "foil": 2}
            for p in prompts])):
        Path(f"{temp}/{name}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    write_tensor(f"{temp}/vector.safetensors", "vector", rng.normal(size=(5, 8, 20)))
    write_tensor(f"{temp}/subspace.safetensors", "subspace", rng.normal(size=(5, 30, 160)))
    config = write_config(f"{temp}/kinds.yaml", KINDS, temp)
    reference = f"{temp}/kinds.h5"
    run(config, reference, "--threads", "1")
    with h5py.File(reference) as f:
        pair = f["sweeps/0_resample_z_noise_all/resample_pair"][()]
    check("pairs are resampled from other chunks", (pair // 2 != np.arange(6) // 2).any(), str(pair))
    run(config, f"{temp}/kinds-two.h5", "--threads", "2")
    same("kinds: two threads", reference, f"{temp}/kinds-two.h5")
    for chunk in (1, 6):
        out = f"{temp}/kinds-{chunk}.h5"
        run(write_config(f"{temp}/chunk.yaml", KINDS, temp, chunk), out, "--threads", "1")
        # /checks are by chunk, and so is what is drawn for them
        same(f"kinds: chunks of {chunk}", reference, out, lambda name: name.startswith("check"))
    within_memory("kinds", config, f"{temp}/kinds-tight.h5", reference)
    for how, want in ((signal.SIGTERM, 75), (signal.SIGKILL, -9)):
        out = f"{temp}/kinds-{how.name}.h5"
        status, left, text = interrupted(config, out, how)
        check(f"kinds: {how.name} leaves finished chunks", status == want and 0 < left < 3,
              f"status {status}, {left} of 3 chunks")
        check(f"kinds: {how.name}: the next run continues", "continuing" in text, text[:80])
        same(f"kinds: {how.name} and continued", reference, out)
    for i, row in enumerate(GREEDY_ROWS):
        text = GREEDY.replace("ROW", row).replace("SAVE", "[control]" if "control" in row else "[]")
        words = re.findall(r"(?:intervention|site|sender): (\w+)", row)
        within_memory(" ".join(words), write_config(f"{temp}/one.yaml", text, temp),
                      f"{temp}/one-{i}.h5")


def check_heads(temp):
    """Everything that may happen to a run, with the sweep that most runs have."""
    config, small = f"{temp}/run.yaml", f"{temp}/small.yaml"
    Path(config).write_text(CONFIG % 16)
    Path(small).write_text(CONFIG % 8)
    reference = f"{temp}/reference.h5"
    run(config, reference, "--threads", "1")

    run(config, f"{temp}/again.h5", "--threads", "1")
    same("the same run twice", reference, f"{temp}/again.h5")
    run(config, f"{temp}/two.h5", "--threads", "2")
    same("two threads", reference, f"{temp}/two.h5")

    within_memory("z", config, f"{temp}/tight.h5", reference)

    for how, want in ((signal.SIGTERM, 75), (signal.SIGKILL, -9)):
        out = f"{temp}/{how.name}.h5"
        status, left, text = interrupted(config, out, how)
        check(f"{how.name} leaves finished chunks", status == want and 0 < left < 8,
              f"status {status}, {left} of 8 chunks")
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


def main():
    with tempfile.TemporaryDirectory() as heads, tempfile.TemporaryDirectory() as kinds:
        with ThreadPoolExecutor(min(2, len(os.sched_getaffinity(0)))) as pool:
            for job in (pool.submit(check_heads, heads), pool.submit(check_kinds, kinds)):
                job.result()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
