#!/usr/bin/env python3
"""Disks as they are: really full ones (a small tmpfs, where it may be mounted), folders that cannot be
written or vanish, names that are too long, outputs that are no files.

    tests/fault/test_disks.py
"""
import time

from faults import *


def ask(job, out, *options):
    done = job.start(out, *options)
    clean(f"{job.name} into {out}", done)
    return done


def last_message(done):
    return done.stderr[done.stderr.rfind("patchbay: "):]


# ---- full -----------------------------------------------------------------------------------------

def mounted(folder, kib):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "patchbay-test", folder],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def full_disk(job, folder):
    """From a disk where nothing fits to one where all does, 16 KiB more each time it is full. What
    was finished stays."""
    out, kib, refused, continued = f"{folder}/out.h5", 8, 0, False
    while kib <= 4096:
        name = f"{job.name}, a disk of {kib} KiB"
        done = ask(job, out)
        continued |= "continuing" in done.stderr
        if done.returncode == 0:
            break
        refused += 1
        check(f"{name}: status 1", done.returncode == 1, f"{done.returncode}: {done.stderr[-300:]}")
        message = last_message(done)
        check(f"{name}: says so", "No space left on device" in message and "out.h5" in message, message)
        check(f"{name}: no result, no temporary file", not os.path.exists(out) and
              not list(Path(folder).rglob("*.tmp.*")), os.listdir(folder))
        kib += 16 if kib < 160 else 64
        subprocess.run(["mount", "-o", f"remount,size={kib}k", folder], check=True)
    check(f"{job.name}: a disk was full at {refused} sizes, and finished chunks stayed",
          refused > 3 and continued, kib)
    job.compare(f"{job.name}, a disk of {kib} KiB", out)
    nothing_left(f"{job.name}, a disk of {kib} KiB", out)


def full_disks(jobs, temp):
    for job in jobs:
        folder = f"{temp}/full-{job.name}"
        os.mkdir(folder)
        if os.geteuid() != 0 or not mounted(folder, 8):
            skip(f"{job.name}: a full disk", "needs root, and a mount of tmpfs")
            continue
        try:
            full_disk(job, folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def read_only_disk(job, temp):
    folder = f"{temp}/read-only"
    os.mkdir(folder)
    if os.geteuid() != 0 or not mounted(folder, 1024):
        skip("a read-only disk", "needs root, and a mount of tmpfs")
        return
    try:
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        done = ask(job, f"{folder}/out.h5")
        check("a read-only disk: status 2, and why", done.returncode == 2 and
              "Read-only file system" in done.stderr and folder in done.stderr, done.stderr)
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
        job.finish("a disk that is no longer read-only", f"{folder}/out.h5")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


# ---- folders and names --------------------------------------------------------------------------

def forbidden_folder(job, temp):
    folder = f"{temp}/forbidden"
    os.mkdir(folder, 0o555)
    if os.access(folder, os.W_OK):
        skip("a folder without permission", "needs another user than root")
        return
    done = ask(job, f"{folder}/out.h5")
    check("a folder without permission: status 2, and why", done.returncode == 2 and
          "Permission denied" in done.stderr and folder in done.stderr, done.stderr)


def vanishing_folder(job, temp):
    """Someone removes the folder while the run computes."""
    for what, gone in (("the output's folder", ""), ("the folder of parts", "out.h5.parts")):
        folder = f"{temp}/vanishing"
        os.mkdir(folder)
        out = f"{folder}/out.h5"
        child = subprocess.Popen(job.command(out), env=environment(), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not list(Path(f"{out}.parts").glob("chunk-*.h5")) and child.poll() is None and (
                time.monotonic() < deadline):
            time.sleep(0.001)
        os.rename(f"{folder}/{gone}".rstrip("/"), f"{temp}/elsewhere")
        _, text = child.communicate(timeout=120)
        done = subprocess.CompletedProcess([], child.returncode, "", text)
        clean(f"{what} vanishes", done)
        message = last_message(done)
        check(f"{what} vanishes: status 1, and why", done.returncode == 1 and "out.h5" in message
              and ("No such file or directory" in message or "missing" in message or "was removed" in message),
              f"{done.returncode}: {text[-400:]}")
        shutil.rmtree(f"{temp}/elsewhere")
        os.makedirs(folder, exist_ok=True)
        job.finish(f"{what} vanished, again", out)
        shutil.rmtree(folder)


def bad_names(job, temp):
    os.mkfifo(f"{temp}/fifo")
    os.mkdir(f"{temp}/folder.h5")
    Path(f"{temp}/file").write_text("a file\n")
    Path(f"{temp}/text.h5").write_text("not a result\n")
    os.symlink("nowhere/at-all.h5", f"{temp}/dangling.h5")
    os.symlink("loop.h5", f"{temp}/loop.h5")
    before = sorted(os.listdir(temp))
    for what, out, why in (
            ("a FIFO", f"{temp}/fifo", "not a file"),
            ("a folder", f"{temp}/folder.h5", "not a file"),
            ("/dev/null", "/dev/null", "not a file"),
            ("a name that is too long", f"{temp}/{'n' * 250}.h5", "File name too long"),
            ("a path that is too long", f"{temp}/{'/n' * 2100}.h5", "too long"),
            ("a folder that is not there", f"{temp}/nowhere/out.h5", "create it first"),
            ("a file for a folder", f"{temp}/file/out.h5", ""),
            ("nothing", "", "give a text"),
            ("a text", f"{temp}/text.h5", "not a result file"),
            ("a link in a circle", f"{temp}/loop.h5", "")):
        begin = time.monotonic()
        done = ask(job, out)
        check(f"output is {what}: status 2", done.returncode == 2, f"{done.returncode}: {done.stderr}")
        check(f"output is {what}: says why", why in last_message(done), last_message(done))
        check(f"output is {what}: at once", time.monotonic() - begin < 60)
        check(f"output is {what}: nothing changes", sorted(os.listdir(temp)) == before,
              set(os.listdir(temp)) ^ set(before))
    check("the text is untouched", Path(f"{temp}/text.h5").read_text() == "not a result\n")


def main():
    if sanitized("disks that are full or vanish"):
        return totals()
    with tempfile.TemporaryDirectory() as temp:
        jobs = [Job("run", TINY, temp), Job("eval", EVAL, temp)]
        full_disks(jobs, temp)
        read_only_disk(jobs[0], temp)
        forbidden_folder(jobs[0], temp)
        vanishing_folder(Job("long", RUN, temp), temp)
        for job in jobs:
            with tempfile.TemporaryDirectory() as names:
                bad_names(job, names)
    return totals()


if __name__ == "__main__":
    sys.exit(main())
