#!/usr/bin/env python3
"""Every call on a file that a run makes is made to fail once, as full, broken and interrupted disks
make it fail. The program must say which file and why, leave no half-written result, and do the rest
when it is called again.

    tests/fault/test_file_calls.py      PB_FAULT_ALL=1: every call of every kind (half an hour)
"""
from collections import Counter

from faults import *

FULL = ("ENOSPC", "EDQUOT")  # from then on, every write fails
KINDS = {
    "pwrite": ("ENOSPC", "EIO", "short", "EDQUOT", "EINTR"),
    "pread": ("EIO", "short", "EINTR", "ESTALE"),
    "read": ("EIO", "short", "EINTR"),
    "open": ("EIO", "ENOSPC", "EACCES", "EINTR"),
    "fsync": ("EIO", "ENOSPC", "EINTR"),
    "close": ("EIO", "EDQUOT", "EINTR"),
    "write": ("ENOSPC", "EIO", "short", "EINTR"),
    "link": ("EIO", "ENOSPC"),
    "rename": ("EIO", "ENOSPC", "EACCES"),
    "unlink": ("EIO", "EACCES"),
    "mkdir": ("ENOSPC", "EACCES"),
    "rmdir": ("EIO",),
    "opendir": ("EIO", "EACCES"),
    "readdir": ("EIO",),
    "fstat": ("EIO", "ESTALE"),
    "ftruncate": ("EIO", "ENOSPC"),
}
CAUSES = {"ENOSPC": "No space left on device", "EIO": "Input/output error",
          "EDQUOT": "Disk quota exceeded", "EINTR": "Interrupted system call",
          "EACCES": "Permission denied", "ESTALE": "Stale file handle"}
MOST = {"run": 10, "eval": 5, "merge": 4}  # calls of one name that are tried


def spread(n, most):
    """1..n, or `most` of them, the first and the last among them."""
    return range(1, n + 1) if n <= most else sorted({round(1 + i * (n - 1) / (most - 1))
                                                     for i in range(most)})


def cases(job, temp):
    """[(job, call, which of them, kind)]"""
    folder = f"{temp}/{job.name}-count"
    os.mkdir(folder)
    job.finish(f"{job.name}: while it is watched", job.output(folder),
               env=environment("files", PB_FAULT_UNDER=folder, PB_FAULT_JOURNAL=f"{temp}/calls"))
    counts = Counter(name.lstrip("-") for name, *_ in journal(f"{temp}/calls"))
    os.remove(f"{temp}/calls")
    known = {"access"}  # its errors are answers
    check(f"{job.name}: calls that this test knows", counts.keys() - known <= KINDS.keys(), counts)
    check(f"{job.name}: writes and reads are seen", min(counts["pwrite"], counts["pread"]) > 100,
          counts)
    thorough, most = os.environ.get("PB_FAULT_ALL"), number(
        "PB_FAULT_CALLS", MOST["eval" if "--shard" in job.options else job.verb])
    for call, n in sorted((counts - Counter(known)).items()):
        for i, k in enumerate(range(1, n + 1) if thorough else spread(n, most)):
            kinds = KINDS.get(call, ())
            for kind in kinds if thorough else [kinds[i % len(kinds)]] if kinds else ():
                yield job, call, k, kind


def gone_wrong(name, job, out, call, kind, done):
    """What may be there after a failure, and what must be said."""
    status, text = done.returncode, done.stderr
    if status == 0:
        return job.compare(name, out)
    last = text[text.rfind("patchbay: "):]
    ok = check(f"{name}: status 1", status == 1 or (kind == "EACCES" and status == 2), status)
    ok &= check(f"{name}: names the file", "/out." in last, text[-400:])
    if kind in CAUSES:  # HDF5 may say of an attribute that it cannot read only that it is not there
        ok &= check(f"{name}: says why", CAUSES[kind] in last or (
            call == "pread" and "damaged" in last), text[-400:])
    if os.path.exists(out):
        ok &= job.compare(f"{name}: a final file is a whole one", out)
    if call != "unlink":
        left = [p.name for p in Path(out).parent.rglob("*.tmp.*")]
        ok &= check(f"{name}: no temporary file", not left, left)
    return ok


def try_case(case):
    job, call, k, kind = case
    name = f"{job.name}, {call} {k}, {kind}"
    with tempfile.TemporaryDirectory() as temp:
        out = job.output(temp)
        env = environment("files", PB_FAULT_UNDER=temp, PB_FAULT_CALL=call, PB_FAULT_AT=k,
                          PB_FAULT_LAST=10**9 if kind in FULL else k, PB_FAULT_KIND=kind)
        done = job.start(out, env=env)
        clean(name, done)
        gone_wrong(name, job, out, call, kind, done)
        job.finish(f"{name}, again", out)
        STATUSES[call, done.returncode] += 1


STATUSES = Counter()


def main():
    if sanitized("calls on files that fail"):
        return totals()
    with tempfile.TemporaryDirectory() as temp:
        run = Job("run", TINY, temp)
        jobs = [run, Job("eval", EVAL, temp), Job("shard", TINY, temp, "--shard", "0/2"),
                Merge(run, temp)]
        every = [case for job in jobs for case in cases(job, temp)]
        each(try_case, every)
    print("calls that failed, by exit status:", dict(sorted(STATUSES.items())))
    for call in ("pwrite", "pread", "fsync", "rename", "open", "close"):
        check(f"a failing {call} ends the run", STATUSES[call, 1] > 0, dict(STATUSES))
    return totals()


if __name__ == "__main__":
    sys.exit(main())
