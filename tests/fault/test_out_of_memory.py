#!/usr/bin/env python3
"""One allocation of the program fails, each in turn: a message about memory and status 1, or a result
that is right all the same; never a crash, never a wrong file.

The program's own allocations are meant: one of each stack of calls that makes some. Those inside
HDF5, jansson, libfyaml, PCRE2 and oneDNN are theirs to survive.

    tests/fault/test_out_of_memory.py   PB_ALLOCATIONS: how many of a run (90), of others fewer; 0: all; PB_SEED: others (0)
"""
from collections import Counter

from faults import *

MOST = number("PB_ALLOCATIONS", 90)
# Without memory to read what kind a file is of, an evaluation is taken for a run: verify refuses it.
TOLERATED = ("a dimension is missing",)
SEED = int(os.environ.get("PB_SEED", "0"))


def sites(command, temp):
    """The number of the first allocation of each stack of calls, in order."""
    file = f"{temp}/sites"
    done = subprocess.run(command, env=environment("memory", PB_FAULT_SITES=file),
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    clean("while allocations are counted", done)
    return [int(x) for x in Path(file).read_text().split()]


def some(found, most=MOST):
    """`most` of them (0: all), others with another seed."""
    if most == 0 or len(found) <= most:
        return found
    return sorted(random.Random(SEED).sample(found, most))


def judge(name, done):
    """Whether it failed as it should, or not at all."""
    clean(name, done)
    if done.returncode == 0:
        return True
    check(f"{name}: status 1", done.returncode == 1, f"{done.returncode}: {done.stderr[-400:]}")
    return check(f"{name}: says that memory is short",
                 any(x in done.stderr for x in ("memory", *TOLERATED)), done.stderr[-400:])


def try_run(case):
    job, k = case
    name = f"{job.name}, allocation {k}"
    with tempfile.TemporaryDirectory() as temp:
        out = job.output(temp)
        done = job.start(out, env=environment("memory", PB_FAULT_AT=k))
        judge(name, done)
        with LOCK:
            STATUSES[job.name, done.returncode] += 1
        if os.path.exists(out):
            job.compare(name, out)
        left = [p.name for p in Path(temp).rglob("*.tmp.*")]
        check(f"{name}: no temporary file", not left, left)
        if done.returncode and os.path.exists(f"{out}.parts"):
            job.finish(f"{name}, again", out)


def try_reader(case):
    """A command that only reads: it says what it always says, or that memory is short."""
    command, want, k = case
    name = f"{command[1]}, allocation {k}"
    done = subprocess.run(command, env=environment("memory", PB_FAULT_AT=k), capture_output=True,
                          text=True, errors="replace", timeout=300)
    judge(name, done)
    with LOCK:
        STATUSES[command[1], done.returncode] += 1
    if done.returncode == 0:
        # info has a mark for a text that there was no memory to read
        others = set(done.stdout.splitlines()) - set(want.splitlines())
        check(f"{name}: says the same", all("?" in x for x in others) and (
            others or done.stdout == want), done.stdout[:300])


STATUSES = Counter()


def main():
    if sanitized("allocations that fail"):
        return totals()
    with tempfile.TemporaryDirectory() as temp:
        run = Job("run", TINY, temp)
        jobs = [run, Job("eval", EVAL, temp), Job("shard", TINY, temp, "--shard", "0/2"),
                Merge(run, temp)]
        cases = []
        for job in jobs:
            found = sites(job.command(f"{temp}/{job.name}.h5"), temp)
            check(f"{job.name}: the program allocates", len(found) > 200, len(found))
            cases += [(job, k) for k in some(found, MOST if job.verb == "run" else MOST // 2)]
        each(try_run, cases)
        cases = []
        for command in (["verify", jobs[0].reference], ["verify", jobs[1].reference],
                        ["top", jobs[0].reference], ["info", jobs[0].reference],
                        ["prompts", "box", "--boxes", "3", "--moves", "1", "--pairs", "3", "--model", "data/boxbench"]):
            command = [PATCHBAY, *command]
            want = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            cases += [(command, want, k) for k in some(sites(command, temp), MOST // 5)]
        each(try_reader, cases)
    print("by command and exit status:", dict(sorted(STATUSES.items())))
    for job in ("run", "eval"):
        check(f"{job}: allocations that fail end it", STATUSES[job, 1] > 10, STATUSES)
    return totals()


if __name__ == "__main__":
    sys.exit(main())
