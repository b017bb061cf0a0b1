#!/usr/bin/env python3
"""kill -9 at any moment, again and again, until the run is through: the result is that of a run that
nobody killed, to the bit, and nothing is left behind.

Most kills come after a random time, some before or after a call that a part or the final file depends
on. Where each one fell is counted, and every phase must have been hit.

    tests/fault/test_kills.py      PB_KILLS=2000: how many (240); PB_SEED: others (0)
"""
import bisect
import itertools
import time
from collections import Counter

from faults import *

KILLS = number("PB_KILLS", 240)
SEED = int(os.environ.get("PB_SEED", "0"))
# The phase of a function of the program, the first that is found from the outermost inwards.
PHASES = (("pb_result_assemble", "assembling"), ("pb_part_write", "writing a part"),
          ("pb_sweep_run", "sweeps"), ("pb_check_variants", "checks"),
          ("pb_check_resid_pre", "checks"), ("pb_chunk_run_new", "base runs"),
          ("pb_forward", "base runs"), ("pb_writer_", "waiting for a part"),
          ("pb_engine_open", "opening"), ("pb_model_", "opening"), ("pb_device_open", "opening"),
          ("pb_verb_", "start"), ("main", "start"))
# Calls where a kill is worth most: the name, whether before or after it or in it, and which one.
CALLS = (("rename", "kill", "last"), ("rename", "killed", "any"), ("pwrite", "torn", "any"),
         ("unlink", "killed", "any"), ("rename", "kill", "any"), ("fsync", "kill", "any"),
         ("rename", "killed", "last"), ("fsync", "killed", "any"), ("pwrite", "kill", "any"),
         ("rmdir", "kill", "any"), ("mkdir", "killed", "any"), ("close", "killed", "any"),
         ("open", "killed", "any"))
MUST = {"run": ("start", "opening", "base runs", "sweeps", "checks", "writing a part",
                "renaming a part", "assembling", "renaming the result", "removing parts"),
        "eval": ("start", "opening", "base runs", "writing a part", "renaming a part", "assembling",
                 "renaming the result", "removing parts"),
        "shard": ("start", "writing a part", "assembling", "renaming the result"),
        "merge": ("start", "assembling", "renaming the result")}


class Symbols:
    """Functions of the program by address, from `nm`."""

    def __init__(self):
        text = subprocess.run(["nm", "--defined-only", "-n", PATCHBAY], capture_output=True,
                              text=True, check=True).stdout
        found = [(int(a, 16), name) for a, name in
                 re.findall(r"^([0-9a-f]+) [tT] (\S+)$", text, re.M)]
        self.addresses = [a for a, _ in found]
        self.names = [n for _, n in found]

    def phase(self, file):
        """Of a stack as shim/moment.c writes it."""
        if not os.path.exists(file):
            return "before main"
        names = []
        for line in Path(file).read_text().split():
            i = bisect.bisect_right(self.addresses, int(line, 16) - 1) - 1
            names.append(self.names[i] if i >= 0 else "")
        for prefix, phase in PHASES:
            if any(n.startswith(prefix) for n in names):
                return phase
        return "before main"


def on_disk(out):
    """What the files alone tell of the moment."""
    out, parts = Path(out), Path(str(out) + ".parts")
    if out.exists():
        return "removing parts" if parts.exists() else None
    if list(out.parent.glob(f"{out.name}.tmp.*")):
        return "assembling"
    if list(parts.glob("*.tmp.*")):
        return "writing a part"
    return None


class Series:
    """Kills of one run, until it is through."""

    def __init__(self, job, counts, symbols, seed, temp):
        self.job, self.counts, self.symbols = job, counts, symbols
        self.rng = random.Random(seed)
        self.seconds = job.seconds
        self.name = f"{job.name}, seed {seed}"
        self.folder = f"{temp}/{job.name}-{seed}"
        os.mkdir(self.folder)
        self.out = job.output(self.folder)

    def after_a_time(self):
        stack = f"{self.folder}.stack"
        how = self.rng.random()
        # mostly anywhere; sometimes in the first milliseconds
        at = self.rng.uniform(0, self.seconds * (1.05 if how < 0.85 else 0.08))
        env = environment("moment", PB_MOMENT_US=int(at * 1e6), PB_MOMENT_FILE=stack)
        done = self.job.start(self.out, env=env)
        phase = self.symbols.phase(stack)
        if os.path.exists(stack):
            os.remove(stack)
        return done, phase

    def at_a_call(self):
        call, kind, which = next(DECK)
        # each part that is there already has had its calls
        share = 1 - self.parts_there() / max(1, self.counts["rename"])
        n = max(1, round(self.counts[call] * share))
        k = n if which == "last" else self.rng.randint(1, n)
        log = f"{self.folder}.journal"
        done = self.job.start(self.out, env=environment(
            "files", PB_FAULT_UNDER=self.folder, PB_FAULT_CALL=call, PB_FAULT_AT=k,
            PB_FAULT_KIND=kind, PB_FAULT_JOURNAL=log))
        last = [x for x in journal(log) if not x[0].startswith("-")][-1:]
        os.remove(log)
        phase = None
        if call == "rename":
            phase = ("renaming a part" if ".parts/" in (last[0][1] if last else "") else
                     "renaming the result")
        return done, phase

    def parts_there(self):
        return len(list(Path(f"{self.out}.parts").glob("chunk-*.h5")))

    def outside(self):
        """kill -9 from another process, the program as it is."""
        child = subprocess.Popen(self.job.command(self.out), env=environment(),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _, text = child.communicate(timeout=self.rng.uniform(0, self.seconds))
        except subprocess.TimeoutExpired:
            child.kill()
            _, text = child.communicate()
        return subprocess.CompletedProcess([], child.returncode, "", text.decode()), None

    def kill_once(self):
        """Whether it was killed; otherwise it came to its end before."""
        how = self.rng.choices((self.after_a_time, self.at_a_call, self.outside), (5, 4, 1))[0]
        done, phase = how()
        if done.returncode != -9:
            clean(self.name, done)
            check(f"{self.name}: ends by itself with 0", done.returncode == 0,
                  f"{done.returncode}: {done.stderr[-500:]}")
            return False
        for where in {phase, on_disk(self.out)} - {None}:
            with LOCK:
                HITS[self.job.name, where] += 1
        if os.path.exists(self.out):
            self.job.compare(f"{self.name}: a final file is a whole one", self.out)
        return True

    def until_through(self):
        kills = 0
        while kills < 40 and not os.path.exists(self.out) and self.kill_once():
            kills += 1
        self.job.finish(f"{self.name}, {kills} kills", self.out)
        shutil.rmtree(self.folder)
        return kills


HITS, DECK = Counter(), itertools.cycle(CALLS)


def measure(job, temp):
    """How long it takes, and the calls it makes."""
    folder = f"{temp}/{job.name}-count"
    os.mkdir(folder)
    begin = time.monotonic()
    job.start(job.output(folder))
    job.seconds = time.monotonic() - begin
    os.remove(job.output(folder))
    job.start(job.output(folder), env=environment("files", PB_FAULT_UNDER=folder,
                                                  PB_FAULT_JOURNAL=f"{temp}/calls"))
    counts = Counter(name for name, *_ in journal(f"{temp}/calls"))
    os.remove(f"{temp}/calls")
    return counts


def missed(job):
    must = MUST["shard" if "--shard" in job.options else job.verb]
    return [phase for phase in must if not HITS[job.name, phase]]


def main():
    if sanitized("kill -9"):
        return totals()
    symbols, killed, seeds = Symbols(), Counter(), itertools.count(SEED * 1000)
    with tempfile.TemporaryDirectory() as temp:
        run, evaluation = Job("run", RUN, temp), Job("eval", EVAL, temp)
        plan = ((run, KILLS * 5 // 10), (evaluation, KILLS * 2 // 10),
                (Job("shard", RUN, temp, "--shard", "1/2"), KILLS * 2 // 10),
                (Merge(run, temp), KILLS // 20), (Merge(evaluation, temp), KILLS // 20))
        for job, wanted in plan:
            counts = measure(job, temp)

            def series(_, job=job, counts=counts, wanted=wanted):
                while killed[job.name] < wanted or (
                        missed(job) and killed[job.name] < 3 * wanted and KILLS >= 200):
                    n = Series(job, counts, symbols, next(seeds), temp).until_through()
                    with LOCK:
                        killed[job.name] += n
            each(series, range(N_WORKERS))
    for job, _ in plan:
        hits = {phase: n for (name, phase), n in sorted(HITS.items()) if name == job.name}
        print(f"{job.name}: {killed[job.name]} kills:", hits)
        if KILLS >= 200:
            check(f"{job.name}: kills fell in every phase", not missed(job), missed(job))
    check("as many kills as wanted", sum(killed.values()) >= KILLS, killed)
    return totals()


if __name__ == "__main__":
    sys.exit(main())
