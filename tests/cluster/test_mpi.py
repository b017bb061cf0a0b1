#!/usr/bin/env python3
"""Runs of several processes under mpirun: the bytes of one process, whatever dies on the way.

    tests/cluster/test_mpi.py

PATCHBAY: the program; PB_EMU_DIR: the folder of the program with its cuda backend on the emulated
device, where ranks have a GPU each and NCCL's stand-in. Without mpirun, or in a build without MPI,
it is skipped.
"""
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

PATCHBAY = os.path.abspath(os.environ.get("PATCHBAY", "build/release/patchbay"))
EMULATED = os.path.abspath(os.environ.get("PB_EMU_DIR", "build/emu")) + "/patchbay"
SANITIZED = "/asan/" in PATCHBAY  # fibers are slow there, and MPI libraries leak
MODEL = os.path.abspath("data/boxbench")
GOLDEN = Path("tests/golden").resolve()
CONFIG = """
model: {path: %s}
task: {name: box, boxes: 3, moves: 1, pairs: %d, corrupt: state, seed: 5}
sweep:
  - {intervention: patch, site: z, direction: denoise, positions: all}
  - {intervention: resample, site: z, seed: 3, positions: last}
  - {intervention: mean, site: q, reference: {over: corrupted, by: role}}
metrics: [logit_diff, prob, rank, kl, candidates]
readings: [head_scores, direct_logit_attribution]
save: [mlp_out]
engine: {chunk: %d}
"""
# Where fibers are slow: one head, and what every run does.
SMALL = """
model: {path: %s}
task: {name: box, boxes: 2, moves: 1, pairs: %d, corrupt: action, seed: 5}
sweep: {intervention: patch, site: z, positions: last, layers: [3], heads: [0]}
readings: none
engine: {chunk: %d}
"""
EVALUATION = """
model: {path: %s}
task: {name: box, boxes: 3, moves: 1, prompts: %d, seed: 5}
engine: {chunk: %d}
"""
ENV = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
           OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_btl_vader_single_copy_mechanism="none",
           OMPI_MCA_btl="self,vader", PB_EMU_DEVICES="3", PB_EMU_NCCL_WAIT="30")
if SANITIZED:
    ENV["ASAN_OPTIONS"] = ENV.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
passed = failed = skipped = 0


def check(name, ok, detail=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(f"{'ok' if ok else 'FAILED'}: {name} {detail}", flush=True)


def write_config(path, n_pairs, chunk, text=CONFIG):
    path.write_text(text % (MODEL, n_pairs, chunk))
    return str(path)


def command(program, config, out, *options, verb="run"):
    return [program, verb, config, "-o", str(out), "--threads", "1", *options]


def mpirun(n, *a, **k):
    return ["mpirun", "-n", str(n), *command(*a, **k)]


def run(argv, env=None, expect=0, timeout=300):
    """Run to the end; what it wrote to stderr."""
    done = subprocess.run(argv, env=dict(ENV, **(env or {})), stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, timeout=timeout, check=False)
    if done.returncode != expect:
        check(" ".join(argv[:4]), False, f"exit status {done.returncode}, not {expect}:\n{done.stderr}")
    return done.stderr


def datasets(path):
    """Bytes of every dataset of numbers."""
    found = {}
    with h5py.File(path) as f:
        f.visititems(lambda name, item: found.__setitem__(name, np.asarray(item[()]).tobytes())
                     if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf" else None)
    return found


def same(name, path, expected):
    if not path.exists():
        check(name, False, "there is no file")
        return
    found = datasets(path)
    differing = [k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k)]
    verified = subprocess.run([PATCHBAY, "verify", str(path)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
    check(name, not differing and len(found) > 20 and verified.returncode == 0,
          f"{len(found)} datasets; differing: {differing[:5]} {verified.stdout[-300:] if verified.returncode else ''}")


def shares(log):
    """Chunks that each rank computed."""
    found = re.search(r"chunks computed by each of \d+ processes:([ \d]+)", log)
    return [int(n) for n in found.group(1).split()] if found else []


def complain(name, argv, words, env=None, times=1):
    """It ends with status 2 and says so, once, and leaves nothing."""
    out = Path(argv[argv.index("-o") + 1])
    log = run(argv, env, expect=2)
    check(name, log.count(words) == times and not out.exists() and not Path(f"{out}.parts").exists(),
          "" if log.count(words) == times else log)


def garbled(folder, to):
    """A copy of a model in which every number is noise."""
    shutil.copytree(folder, to)
    path = Path(to) / "model.safetensors"
    data = bytearray(path.read_bytes())
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    noise = np.random.default_rng(1)
    n = 0
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + at for at in tensor["data_offsets"])
        data[begin:end] = noise.integers(0, 60, end - begin, dtype=np.uint8).tobytes()
        n += 1
    path.write_bytes(data)
    return n


def on_emulated_devices(temp):
    config = write_config(temp / "emulated.yaml", 2 if SANITIZED else 5, 1,
                          SMALL if SANITIZED else CONFIG)
    cuda = ["--backend", "cuda"]
    run(command(EMULATED, config, temp / "emulated.h5", "-q", *cuda))
    expected = datasets(temp / "emulated.h5")
    for n in [2] if SANITIZED else [2, 3]:
        out = temp / f"emulated{n}.h5"
        log = run(mpirun(n, EMULATED, config, out, *cuda))
        same(f"{n} emulated devices", out, expected)
        check(f"{n} emulated devices share the chunks", sum(shares(log)) == (2 if SANITIZED else 5)
              and len(shares(log)) == n and min(shares(log)) >= 1, shares(log))
    if SANITIZED:
        return
    # rank 1's own file holds noise where rank 0's holds weights: only what is broadcast is right
    evaluation = write_config(temp / "evaluation.yaml", 12, 3, EVALUATION)
    for name, verb, text, model in (("bundled", "run", config, MODEL), ("bundled", "eval", evaluation, MODEL),
                                    ("positions", "run", GOLDEN / "engine/gpt2_hub/run.yaml", ""),
                                    ("post-norms", "run", GOLDEN / "families/gemma2/run.yaml", "")):
        alone, out = temp / f"{name}-{verb}-1.h5", temp / f"{name}-{verb}-2.h5"
        noise = temp / f"{name}-{verb}"
        n_garbled = garbled(model or text.parent, noise)
        options = [*cuda, "--set", "engine.chunk=1"] if not model else cuda
        run(command(EMULATED, str(text), alone, "-q", *options, verb=verb))
        argv = command(EMULATED, str(text), out, *options, verb=verb)
        log = run(["mpirun", "-n", "1", *argv, ":", "-n", "1", *argv, "--set", f"model.path={noise}"])
        same(f"{verb} of {name}: weights are rank 0's (all {n_garbled} arrays of rank 1's file are noise)",
             out, datasets(alone))
        check(f"{verb} of {name}: rank 1 computed with them",
              len(shares(log)) == 2 and shares(log)[1] >= 1, shares(log))
    # the same without NCCL: each reads its own
    log = run(mpirun(2, EMULATED, config, temp / "apart.h5", *cuda), {"PB_EMU_NCCL": "none"})
    same("without NCCL", temp / "apart.h5", expected)
    check("without NCCL it says so", "each of 2 processes reads them" in log, log)
    complain("two ranks on one GPU", mpirun(2, EMULATED, config, temp / "shared.h5", *cuda),
             "ranks 0 and 1 compute on the same GPU", {"PB_EMU_DEVICES": "1"})
    other = command(EMULATED, config, temp / "mixed.h5")
    complain("ranks on other backends", ["mpirun", "-n", "1", *other, *cuda, ":", "-n", "1", *other,
                                         "--backend", "cpu"], "rank 1 computes on cpu and rank 0 on cuda")
    # one rank's device has too little memory: seen beforehand, or while weights are on their way
    for mib, options, status, words in ((70, [], 2, "not enough memory on the GPU"),
                                        (55, ["--device-memory", "4G"], 1, "no memory left")):
        argv = command(EMULATED, config, temp / "poor.h5", *cuda)
        log = run(["mpirun", "-n", "1", *argv, ":", "-n", "1", "-x", f"PB_EMU_MEMORY={mib << 20}", *argv,
                   *options], expect=status)
        check(f"too little memory on rank 1: {words}", "rank 1 on " in log and words in log and
              not Path(f"{temp}/poor.h5").exists(), "" if words in log else log)


def kill_when_parts(argv, out, n_parts, how):
    """Start, wait for so many parts, do `how`; (exit status, parts left, stderr)."""
    with tempfile.TemporaryFile("w+") as err:
        job = subprocess.Popen(argv, env=ENV, stdout=subprocess.DEVNULL, stderr=err)
        parts = Path(f"{out}.parts")
        until = time.monotonic() + 120
        while time.monotonic() < until and job.poll() is None:
            if len(list(parts.glob("chunk-*.h5"))) >= n_parts:
                break
            time.sleep(0.01)
        how(job)
        status = job.wait(timeout=120)
        err.seek(0)
        return status, len(list(parts.glob("chunk-?????.h5"))), err.read()


def ranks_of(job):
    """Process ids by rank."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        rank = [w for w in words if w.startswith(b"OMPI_COMM_WORLD_RANK=")]
        if rank and parent == job.pid:
            found[int(rank[0].split(b"=")[1])] = int(pid)
    return found


def on_processors(temp):
    n_pairs = 24 if SANITIZED else 60
    config = write_config(temp / "cpu.yaml", n_pairs, 1)
    cpu = ["--backend", "cpu"]
    run(command(PATCHBAY, config, temp / "cpu.h5", "-q", *cpu))
    expected = datasets(temp / "cpu.h5")

    log = run(mpirun(3, PATCHBAY, config, temp / "cpu3.h5", *cpu))
    same("3 processes", temp / "cpu3.h5", expected)
    check("3 processes share the chunks", sum(shares(log)) == n_pairs and min(shares(log) or [0]) >= 1,
          shares(log))
    log = run(mpirun(3, PATCHBAY, config, temp / "cpu3.h5", *cpu))
    check("a complete file is recognised", log.count("already complete") == 1, log)

    for victim in (1, 0):
        out = temp / f"killed{victim}.h5"
        argv = mpirun(3, PATCHBAY, config, out, *cpu)

        def kill(job, victim=victim):
            os.kill(ranks_of(job)[victim], signal.SIGKILL)
        status, parts, log = kill_when_parts(argv, out, 3, kill)
        check(f"rank {victim} is killed: the job ends, parts stay", status != 0 and not out.exists()
              and 3 <= parts < n_pairs, f"status {status}, {parts} parts\n{log if status == 0 else ''}")
        log = run(argv)
        same(f"after rank {victim} was killed, the same command goes on", out, expected)
        check("and computes what was left", 0 < sum(shares(log)) <= n_pairs - parts + 1,
              f"{shares(log)}, {parts} parts were there")

    out = temp / "stopped.h5"
    argv = mpirun(3, PATCHBAY, config, out, *cpu)
    status, parts, log = kill_when_parts(argv, out, 2, lambda job: job.send_signal(signal.SIGUSR1))
    said = re.search(rf"stopped after (\d+) of {n_pairs} chunks", log)
    check("SIGUSR1 to mpirun: 75, parts stay", status == 75 and said and int(said.group(1)) == parts,
          f"status {status}, {parts} parts\n{log if status != 75 else ''}")
    # one process continues what three began
    run(command(PATCHBAY, config, out, "-q", *cpu))
    same("one process goes on where three stopped", out, expected)

    out = temp / "one-stopped.h5"
    argv = mpirun(2, PATCHBAY, config, out, *cpu)
    status, parts, log = kill_when_parts(
        argv, out, 2, lambda job: os.kill(ranks_of(job)[1], signal.SIGTERM))
    check("SIGTERM to one rank stops all", status == 75 and log.count("stopped after") == 1,
          f"status {status}\n{log if status != 75 else ''}")

    # an error of one rank in the middle: the others finish what they have, and nothing is lost
    out = temp / "broken.h5"
    def make_full(job):
        del job
        os.rename(f"{out}.parts", f"{out}.away")
    status, _, log = kill_when_parts(mpirun(2, PATCHBAY, config, out, *cpu), out, 2, make_full)
    check("the folder of parts vanishes: an error, told once", status in (1, 2) and
          len(re.findall("^patchbay: (?!warning|chunks)", log, re.M)) == 1, f"status {status}\n{log}")
    if os.path.isdir(f"{out}.away"):
        shutil.rmtree(f"{out}.parts", ignore_errors=True)
        os.rename(f"{out}.away", f"{out}.parts")
    run(mpirun(2, PATCHBAY, config, out, "-q", *cpu))
    same("and the same command goes on", out, expected)

    few = write_config(temp / "few.yaml", 2, 1)
    run(command(PATCHBAY, few, temp / "few.h5", "-q", *cpu))
    run(mpirun(3, PATCHBAY, few, temp / "few3.h5", "-q", *cpu))
    same("more processes than chunks", temp / "few3.h5", datasets(temp / "few.h5"))

    complain("an unknown key is told once", mpirun(3, PATCHBAY, few, temp / "x.h5", "--set",
                                                   "engine.chunkk=3"), "unknown key")
    other = command(PATCHBAY, few, temp / "x.h5", *cpu)
    complain("rank 1 has no model", ["mpirun", "-n", "1", *other, ":", "-n", "1", *other, "--set",
                                     "model.path=/nowhere"], "rank 1 on ")
    complain("rank 1 has other pairs", ["mpirun", "-n", "1", *other, ":", "-n", "1", *other, "--set",
                                        "task.seed=6"], "are not those that rank 0 reads")


def without_launcher(temp):
    few = write_config(temp / "few.yaml", 2, 1)
    argv = command(PATCHBAY, few, temp / "bare.h5", "--backend", "cpu")
    bare = temp / "bare"
    bare.mkdir()
    shutil.copy(PATCHBAY, bare / "patchbay")
    complain("no MPI in the build", [str(bare / "patchbay"), *argv[1:]], "this build has no MPI",
             {"SLURM_STEP_NUM_TASKS": "2", "PB_PLUGIN_DIR": ""})
    complain("processes that do not find each other", argv, "do not find each other",
             {"SLURM_STEP_NUM_TASKS": "2"})
    run([str(bare / "patchbay"), *argv[1:], "-q"], {"PB_PLUGIN_DIR": ""})
    check("one process needs no MPI", (temp / "bare.h5").exists())
    told = subprocess.run([PATCHBAY, "doctor"], env=ENV, stdout=subprocess.PIPE, text=True, check=True)
    check("doctor names the MPI library", re.search(r"^MPI +\S.*\d\.\d", told.stdout, re.M) is not None)


def main():
    global skipped
    built = (Path(PATCHBAY).parent / "libpatchbay_mpi.so").exists()
    if not built or not shutil.which("mpirun"):
        skipped += 1
        print("skipped:", "this build has no MPI" if not built else "no mpirun in PATH")
    else:
        with tempfile.TemporaryDirectory() as temp:
            without_launcher(Path(temp))
            on_processors(Path(temp))
            on_emulated_devices(Path(temp))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(failed > 0)


main()
