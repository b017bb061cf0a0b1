#!/usr/bin/env python3
"""The clock jumps by hours, forwards and backwards, at any moment of a run: the same values, a run
that does not end before it began, progress in numbers that make sense, and what a killed run left is
still known for what it is.

    tests/fault/test_clock.py
"""
import pty
import time
from datetime import datetime, timezone

from faults import *

HOURS = 3600
JUMPS = (-30 * HOURS, -5 * HOURS, 5 * HOURS, 400 * 24 * HOURS)


def when(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()


def times_are_right(name, out, jump, begin):
    with h5py.File(out) as f:
        started, finished = when(f.attrs["started"]), when(f.attrs["finished"])
        seconds = float(f.attrs["seconds_computing"])
    check(f"{name}: ends after it began", started <= finished, f"{started} to {finished}")
    low, high = begin + min(0, jump) - 5, time.time() + max(0, jump) + 5
    check(f"{name}: at a time that a clock showed", low <= started and finished <= high,
          f"{started - begin:.0f} to {finished - begin:.0f} s after it began")
    check(f"{name}: seconds of computing are none of the calendar", 0 <= seconds < 120, seconds)


def jump_once(case):
    job, jump, at, steady = case
    name = f"{job.name}, {jump / HOURS:+.0f} h at call {at}{', steady clock too' if steady else ''}"
    with tempfile.TemporaryDirectory() as temp:
        out, begin = f"{temp}/out.h5", time.time()
        more = {"PB_CLOCK_STEADY": 1} if steady else {}
        done, _ = job.finish(name, out, env=environment("clock", PB_CLOCK_AT=at, PB_CLOCK_JUMP=jump,
                                                        **more))
        makes_sense(name, done.stderr)
        if not steady:
            times_are_right(name, out, jump, begin)


def makes_sense(name, text):
    shown = re.findall(r"\d+/\d+ .*", text.replace("\r", "\n"))
    bad = [x for x in shown if re.search(r"nan|inf|(?<!e)-\d|ETA (?!\d+:\d\d|--:--)", x)]
    check(f"{name}: progress", not bad, bad)
    return shown


def on_a_terminal(job, jump, temp):
    """The bar, with the steady clock jumping while it is drawn."""
    name = f"a terminal, {jump / HOURS:+.0f} h"
    ours, theirs = pty.openpty()
    child = subprocess.Popen(job.command(f"{temp}/bar{jump}.h5"), stdout=subprocess.DEVNULL,
                             stderr=theirs, env=environment("clock", PB_CLOCK_AT=40,
                                                            PB_CLOCK_JUMP=jump, PB_CLOCK_STEADY=1))
    os.close(theirs)
    text = b""
    while True:
        try:
            got = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not got:
            break
        text += got
    os.close(ours)
    check(f"{name}: done", child.wait() == 0, text[-300:])
    check(f"{name}: a bar is drawn", makes_sense(name, text.decode()), text[-300:])


def continued_after_a_jump(job, jump, temp):
    """Killed, and continued when the clock says another day: nothing stays, nothing is done twice."""
    name = f"{job.name}: continued {jump / HOURS:+.0f} h later"
    folder = f"{temp}/later{jump}"
    os.mkdir(folder)
    out, begin = f"{folder}/out.h5", time.time()
    job.start(out, env=environment("files", PB_FAULT_UNDER=folder, PB_FAULT_CALL="rename",
                                   PB_FAULT_AT=3, PB_FAULT_KIND="kill"))
    left = list(Path(f"{out}.parts").glob("*.tmp.*"))
    check(f"{name}: a temporary file to recognise", left, left)
    for file in Path(folder).rglob("*"):  # as if the files came from another time
        os.utime(file, (begin - jump, begin - jump))
    done, _ = job.finish(name, out, env=environment("clock", PB_CLOCK_AT=1, PB_CLOCK_JUMP=jump))
    check(f"{name}: continues", "continuing" in done.stderr, done.stderr)
    times_are_right(name, out, jump, begin)


def main():
    if sanitized("clocks that jump"):
        return totals()
    with tempfile.TemporaryDirectory() as temp:
        jobs = [Job("run", TINY, temp), Job("eval", EVAL, temp)]
        rng = random.Random(1)
        each(jump_once, [(job, jump, rng.randint(1, most), steady) for job in jobs for jump in JUMPS
                         for most, steady in ((4, False), (8, False), (60, True))])
        for jump in JUMPS:
            on_a_terminal(jobs[0], jump, temp)
            continued_after_a_jump(jobs[0], jump, temp)
    return totals()


if __name__ == "__main__":
    sys.exit(main())
