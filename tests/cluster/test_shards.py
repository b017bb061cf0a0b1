#!/usr/bin/env python3
"""Shards, merging and locks through the program: the datasets of one process, whatever dies on the way.

    tests/cluster/test_shards.py

PATCHBAY: the program. The part that needs mpirun is skipped where it, or MPI in the build, is missing.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

PATCHBAY = os.path.abspath(os.environ.get("PATCHBAY", "build/release/patchbay"))
SANITIZED = "/asan/" in PATCHBAY
MODEL = os.path.abspath("data/boxbench")
RUN = """
model: {path: %s}
task: {name: box, boxes: 3, moves: 1, pairs: 7, corrupt: state, seed: 5}
sweep:
  - {intervention: patch, site: z, direction: denoise, positions: all, layers: [1, 3]}
  - {intervention: resample, site: z, seed: 3, positions: last, layers: [2]}
  - {intervention: mean, site: q, reference: {over: corrupted, by: role}, layers: [0]}
  - {intervention: control, site: z, positions: last, layers: [1]}
  - {intervention: zero, site: z, sets: {two: [L1H6, L0H3], mlp: [M2]}}
  - {intervention: path, sender: head, receiver: logits, layers: [1]}
metrics: [logit_diff, rank, candidates]
readings: [head_scores, direct_logit_attribution]
save: [mlp_out, control]
engine: {chunk: 2, backend: cpu}
"""
GRID = """
model: {path: %s}
task: {name: dfa, mode: strict, pairs: 3, seed: 0}
grid: {states: [4, 8], steps: [10, 20]}
sweep: {intervention: patch, site: z, positions: last, layers: [1]}
readings: none
engine: {chunk: 2, backend: cpu}
"""
EVAL = """
model: {path: %s}
task: {name: dfa, mode: strict, prompts: 11, seed: 0}
grid: {states: [4, 8, 12], steps: [10, 20]}
engine: {chunk: 4, backend: cpu}
"""
LONG = RUN.replace("pairs: 7", "pairs: 400").replace("chunk: 2", "chunk: 1")
passed = failed = skipped = 0
ENV = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}


def check(name, ok, detail=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(f"{'ok' if ok else 'FAILED'}: {name} {detail if not ok else ''}", flush=True)


def patchbay(*argv, env=None, expect=0):
    """Run to the end; what it wrote to stderr and stdout."""
    done = subprocess.run([PATCHBAY, *map(str, argv)], env=dict(ENV, **(env or {})), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
    if done.returncode != expect:
        check(" ".join(map(str, argv)), False, f"exit status {done.returncode}, not {expect}:\n{done.stderr}")
    return done.stderr + done.stdout


def datasets(path):
    """Bytes of every dataset, texts too; and the SHA-256 list of /checks."""
    found = {}
    with h5py.File(path) as f:
        f.visititems(lambda name, item: found.__setitem__(
            name, repr(item[()].tolist()).encode() if item.dtype.kind == "O" else
            np.asarray(item[()]).tobytes()) if isinstance(item, h5py.Dataset) else None)
    return found


def same(name, path, expected):
    found = datasets(path) if Path(path).exists() else {}
    differing = [k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k)]
    check(name, not differing and len(found) > 30 and "checks/sha256" in found,
          f"{len(found)} datasets; differing: {differing[:5]}")


def kinds(temp):
    for kind, verb, text, n in (("run", "run", RUN, 7), ("grid", "run", GRID, 3), ("eval", "eval", EVAL, 5)):
        config = temp / f"{kind}.yaml"
        config.write_text(text % MODEL)
        whole, merged = temp / f"{kind}.h5", temp / f"{kind}-merged.h5"
        patchbay(verb, config, "-o", whole, "-q")
        expected = datasets(whole)
        names = [temp / f"{kind}.shard-{i}-of-{n}.h5" for i in range(n)]
        for i in range(n):
            patchbay(verb, config, "-o", whole, "-q", "--shard", f"{i}/{n}")
        check(f"{kind}: every shard has its file", all(p.exists() for p in names))
        patchbay("merge", "-q", merged, *reversed(names))
        same(f"{kind}: {n} shards merge to the datasets of one process", merged, expected)
        patchbay("verify", merged, "--against", whole)
        partial = temp / f"{kind}-partial.h5"
        patchbay("merge", "-q", "--partial", partial, names[0])
        log = patchbay("verify", partial, expect=1)
        check(f"{kind}: a partial merge is right but for what it lacks",
              "1 thing is wrong, the first: a partial merge" in log, log[-300:])
        log = patchbay("info", partial)
        check(f"{kind}: info says so", "PARTIAL: " in log, log[:300])
        with h5py.File(partial) as f:
            check(f"{kind}: so do its attributes", f.attrs["complete"] == 0 and f.attrs["missing_chunks"])
        # a complete shard is recognised; other numbers, or the whole, are something else
        log = patchbay(verb, config, "-o", whole, "--shard", f"0/{n}")
        check(f"{kind}: a complete shard is recognised", "already complete" in log, log[:200])
        shutil.copy(names[0], temp / f"{kind}.shard-0-of-99.h5")
        log = patchbay(verb, config, "-o", whole, "-q", "--shard", "0/99", expect=2)
        check(f"{kind}: other numbers are refused", f"shard there 0 of {n}, here 0 of 99" in log, log)
        patchbay(verb, config, "-o", whole, "-q", "--shard", "0/99", "--force")
        with h5py.File(temp / f"{kind}.shard-0-of-99.h5") as f:
            check(f"{kind}: --force replaces", f.attrs["n_shards"] == 99)
    log = patchbay("top", temp / "run-partial.h5")
    check("top says what is missing", "a partial merge: 5 pairs of chunks 1-3 are missing" in log, log[:300])
    log = patchbay("merge", temp / "x.h5", temp / "run.shard-0-of-7.h5", temp / "grid.shard-1-of-3.h5", expect=2)
    check("different experiments: the difference", "the pairs differ" in log and "grid states: 4 8" in log, log)
    patchbay("run", temp / "run.yaml", "-o", temp / "a.h5", "-q", "--shard", "slurm", expect=2)
    patchbay("run", temp / "run.yaml", "-o", temp / "a.h5", "-q", "--shard", "slurm",
             env=dict(SLURM_ARRAY_TASK_ID="9", SLURM_ARRAY_TASK_MIN="5", SLURM_ARRAY_TASK_MAX="13",
                      SLURM_ARRAY_TASK_STEP="4", SLURM_ARRAY_TASK_COUNT="3"))
    check("an array's task is its shard", (temp / "a.shard-1-of-3.h5").exists())


def against(temp):
    """One flipped value, with every checksum right again."""
    changed = temp / "changed.h5"
    shutil.copy(temp / "run.h5", changed)
    log = patchbay("verify", temp / "run.h5", "--against", temp / "grid.h5", expect=1)
    check("against another experiment", "it is not in" in log and "differ" in log, log[-300:])
    log = patchbay("verify", temp / "run.h5", "--against", changed, "--tolerance", "1e-9")
    check("the same within a tolerance", "the same within" in log)
    with h5py.File(changed, "r+") as f:
        f["base/clean/prob_answer"][3] += 1e-3
    log = patchbay("verify", temp / "run.h5", "--against", changed, expect=1)
    check("a value changed behind its checksum", "base/clean/prob_answer" in log and "SHA-256" in log, log[-300:])


def resumed(temp):
    """Shards that are stopped or killed go on, by the same command."""
    config = temp / "long.yaml"
    config.write_text(LONG.replace("pairs: 400", "pairs: 40") % MODEL)
    patchbay("run", config, "-o", temp / "long.h5", "-q")
    expected = datasets(temp / "long.h5")
    out = temp / "long.shard-0-of-2.h5"
    argv = [PATCHBAY, "run", str(config), "-o", str(temp / "long.h5"), "-q", "--shard", "0/2"]
    for how, status in ((signal.SIGKILL, -9), (signal.SIGUSR1, 75)):
        job = subprocess.Popen(argv, env=ENV, stderr=subprocess.DEVNULL)
        wait_for(lambda: len(list(Path(f"{out}.parts").glob("chunk-?????.h5"))) >= (2 if status == -9 else 5), job)
        job.send_signal(how)
        ended = job.wait(timeout=60)
        parts = sorted(p.name for p in Path(f"{out}.parts").glob("chunk-?????.h5"))
        check(f"a shard ends with {status}, its parts stay", ended == status and parts and not out.exists()
              and all(int(p[6:11]) % 2 == 0 for p in parts), f"{ended} {parts}")
        check(f"{status}: the lock {'stays' if status == -9 else 'goes'}",
              Path(f"{out}.lock").exists() == (status == -9))
    part = sorted(Path(f"{out}.parts").glob("chunk-?????.h5"))[0]
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 16
    part.write_bytes(data)
    log = patchbay("run", config, "-o", temp / "long.h5", "--shard", "0/2")
    check("a part with a flipped byte is computed again", "damaged part" in log and
          "its chunk computed again" in log, log[:300])
    patchbay("run", config, "-o", temp / "long.h5", "-q", "--shard", "1/2")
    patchbay("merge", "-q", temp / "long-merged.h5", out, temp / "long.shard-1-of-2.h5")
    same("interrupted shards merge to the datasets of one process", temp / "long-merged.h5", expected)


def wait_for(what, job):
    until = time.monotonic() + 60
    while time.monotonic() < until and job.poll() is None and not what():
        time.sleep(0.01)


def locks(temp):
    config = temp / "locked.yaml"
    config.write_text(LONG % MODEL)
    out, lock = temp / "locked.h5", temp / "locked.h5.lock"
    argv = [PATCHBAY, "run", str(config), "-o", str(out), "-q"]
    job = subprocess.Popen(argv, env=ENV, stderr=subprocess.DEVNULL)
    wait_for(lambda: list(Path(f"{out}.parts").glob("chunk-*.h5")), job)
    before = lock.read_text()
    for more in ([], ["--force"]):
        log = patchbay("run", config, "-o", out, "-q", *more, expect=1)
        check(f"a second job says who writes there {more}", f"process {job.pid} on " in log and
              "since 20" in log, log)
    check("and touches nothing", lock.read_text() == before and job.poll() is None)
    # its shards are outputs of their own
    check("a shard has its own lock", not (temp / "locked.shard-0-of-400.h5.lock").exists())
    patchbay("run", config, "-o", out, "-q", "--shard", "0/400")
    job.kill()
    job.wait()
    check("a killed job's lock stays", lock.exists())
    again = subprocess.Popen(argv[:-1], env=ENV, stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL)
    time.sleep(1.5)
    again.terminate()
    log = again.communicate(timeout=60)[1]
    check("the next one takes it over, and goes on", "taken over" in log and "continuing" in log
          and again.returncode == 75, log)
    check("and lets it go when it is stopped", not lock.exists())
    # merging is writing too
    lock = temp / "m.h5.lock"
    lock.write_text(re.sub("machine: .*", "machine: elsewhere", before))
    names = [temp / f"run.shard-{i}-of-7.h5" for i in range(7)]
    log = patchbay("merge", "-q", temp / "m.h5", *names, expect=1)
    check("merge respects a lock", "another process writes this output" in log and not (temp / "m.h5").exists(), log)
    os.utime(lock, (time.time() - 1000, time.time() - 1000))
    patchbay("merge", "-q", temp / "m.h5", *names)
    check("and takes over one without a heartbeat", (temp / "m.h5").exists() and not lock.exists())


def team(temp):
    """Processes of one job share a shard's chunks."""
    global skipped
    if SANITIZED or not shutil.which("mpirun") or not (Path(PATCHBAY).parent / "libpatchbay_mpi.so").exists():
        skipped += 1
        print("skipped: no mpirun, or a build without MPI")
        return
    env = dict(ENV, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
               OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_btl="self,vader",
               OMPI_MCA_btl_vader_single_copy_mechanism="none")
    out = temp / "team.h5"
    for i in range(2):
        subprocess.run(["mpirun", "-n", "2", PATCHBAY, "run", temp / "run.yaml", "-o", out, "-q", "--threads",
                        "1", "--shard", f"{i}/2"], env=env, check=True, timeout=120)
    patchbay("run", temp / "run.yaml", "-o", temp / "one.h5", "-q", "--threads", "1")
    patchbay("merge", "-q", out, temp / "team.shard-0-of-2.h5", temp / "team.shard-1-of-2.h5")
    same("shards by two processes each", out, datasets(temp / "one.h5"))


def main():
    with tempfile.TemporaryDirectory() as temp:
        for part in (kinds, against, resumed, locks, team):
            part(Path(temp))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(failed > 0)


main()
