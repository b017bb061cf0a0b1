#!/usr/bin/env python3
"""The power goes: what was not flushed may be lost, wholly or in part, in any order.

One run is recorded, with all that it writes. Then disks are made up as they might look after a loss
of power at some moment: writes since a file's last fsync kept, dropped or torn at sectors; names since
their folder's last fsync likewise. From each, the same command must come to the right bytes; a final
file is always a whole one, a part that was flushed is never computed again. On disks that lie about
fsync a torn result can appear: `verify` must refuse it.

    tests/fault/test_power_loss.py      PB_POWER_LOSSES: how many (48); PB_SEED: others (0)
"""
from collections import Counter

from faults import *

LOSSES = number("PB_POWER_LOSSES", 48)
SEED = int(os.environ.get("PB_SEED", "0"))
SECTOR = 512


class Inode:
    """A file: what is on the disk for sure, and what may be."""

    def __init__(self):
        self.durable, self.pending = bytearray(), []

    @staticmethod
    def apply(content, change):
        kind, at, data = change
        if kind == "size":
            content[at:] = b""
            content.extend(bytes(at - len(content)))
            return
        content.extend(bytes(max(0, at - len(content))))
        content[at:at + len(data)] = data

    def flush(self):
        for change in self.pending:
            self.apply(self.durable, change)
        self.pending = []

    def after_loss(self, rng):
        """Content with each pending change kept, dropped or torn."""
        content = bytearray(self.durable)
        odds = rng.choice((0.0, 0.5, 0.9, 1.0))
        for kind, at, data in self.pending:
            if rng.random() >= odds:
                continue
            if kind == "write" and rng.random() < 0.2:
                whole = (at + rng.randrange(len(data) + 1)) // SECTOR * SECTOR
                data = data[:max(0, whole - at)]
            self.apply(content, (kind, at, data))
        return bytes(content)


class Disk:
    """What a journal makes of a folder."""

    def __init__(self, folder, flushes):
        self.folder, self.flushes = folder, flushes
        self.names, self.open_files = {}, {}  # now: path -> Inode, None for folders
        self.changes = []                     # of names: [function of the names, folder, durable]

    def change_names(self, folder, change):
        change(self.names)
        self.changes.append([change, folder, False])

    def step(self, event):
        name, path, offset, data = event
        folder = os.path.dirname(path)
        if name == "open" and offset & os.O_CREAT and path not in self.names:
            inode = Inode()
            self.change_names(folder, lambda names: names.__setitem__(path, inode))
        elif name == "open" and offset & os.O_TRUNC and self.names.get(path):
            self.names[path].pending.append(("size", 0, b""))
        elif name in ("pwrite", "write"):
            self.names[path].pending.append(("write", offset, data))
        elif name == "ftruncate":
            self.names[path].pending.append(("size", offset, b""))
        elif name == "fsync" and self.flushes:
            if self.names.get(path):
                self.names[path].flush()
            else:
                for change in self.changes:
                    change[2] |= change[1] == path
        elif name == "rename":
            to = data.decode()
            self.change_names(folder, lambda names: names.__setitem__(to, names.pop(path))
                              if path in names else None)
        elif name == "link":
            to = data.decode()
            self.change_names(folder, lambda names: names.__setitem__(to, names[path])
                              if path in names else None)
        elif name in ("unlink", "rmdir"):
            self.change_names(folder, lambda names: names.pop(path, None))
        elif name == "mkdir":
            self.change_names(folder, lambda names: names.__setitem__(path, None))

    def after_loss(self, rng, folder):
        """Make the folder as it might be found. A disk that lies about flushing mostly keeps names."""
        names, odds = {}, rng.choice((0.0, 0.5, 1.0) if self.flushes else (0.5, 1.0, 1.0))
        lost = False  # a journal keeps the order of what it keeps
        for change, _, durable in self.changes:
            lost = lost or (not durable and rng.random() >= odds)
            if durable or not lost:
                change(names)
        for path, inode in sorted(names.items()):
            there = folder + path[len(self.folder):]
            if inode is None:
                os.makedirs(there, exist_ok=True)
            elif os.path.isdir(os.path.dirname(there)):  # what a lost folder held is lost with it
                Path(there).write_bytes(inode.after_loss(rng))
                # until the machine is up again a lock is as old as a dead one's
                os.utime(there, (0, 0))


def flushed_parts(events):
    """Parts whose rename has been flushed with their folder, and that are not removed."""
    renamed, flushed = set(), set()
    for name, path, _, data in events:
        if name == "rename" and b".parts/" in data:
            renamed.add(os.path.basename(data.decode()))
        elif name == "fsync" and path.endswith(".parts"):
            flushed |= renamed
        elif name == "unlink":
            flushed.discard(os.path.basename(path))
    return flushed


class Recording:
    def __init__(self, job, temp):
        self.job, self.temp = job, temp
        self.folder = f"{temp}/{job.name}"
        os.mkdir(self.folder)
        log = f"{temp}/{job.name}.journal"
        done = job.start(f"{self.folder}/out.h5", env=environment(
            "files", PB_FAULT_UNDER=self.folder, PB_FAULT_JOURNAL=log))
        clean(f"{job.name}: recorded", done)
        self.events = [e for e in journal(log) if not e[0].startswith("-")]
        self.turns = [i for i, e in enumerate(self.events)
                      if e[0] in ("rename", "fsync", "unlink", "mkdir", "rmdir")]

    def check_replay(self):
        """The journal makes the file that the run made."""
        disk = Disk(self.folder, True)
        for event in self.events:
            disk.step(event)
        made = {p: i for p, i in disk.names.items() if i is not None}
        check(f"{self.job.name}: the journal replays to the result",
              list(made) == [f"{self.folder}/out.h5"] and not list(made.values())[0].pending
              and bytes(list(made.values())[0].durable) == Path(f"{self.folder}/out.h5").read_bytes(),
              sorted(disk.names))

    def lose_power(self, seed, flushes):
        rng = random.Random(seed)
        turns = self.turns if flushes else self.turns[-6:]  # the result is there, its parts go
        cut = rng.randrange(len(self.events) + 1) if rng.random() < 0.5 else (
            rng.choice(turns) + rng.randrange(2))
        disk = Disk(self.folder, flushes)
        for event in self.events[:cut]:
            disk.step(event)
        folder = f"{self.temp}/{self.job.name}-{seed}-{flushes}"
        os.mkdir(folder)
        disk.after_loss(rng, folder)
        name = f"{self.job.name}, power lost after {cut} calls, seed {seed}"
        if flushes:
            self.honest(name, folder, cut)
        else:
            self.lying(f"{name}, no flushes", folder)
        shutil.rmtree(folder)

    def honest(self, name, folder, cut):
        out = f"{folder}/out.h5"
        if os.path.exists(out):
            self.job.compare(f"{name}: a final file is a whole one", out)
        else:
            have = {p.name for p in Path(f"{out}.parts").glob("chunk-*.h5")}
            missing = flushed_parts(self.events[:cut]) - have
            check(f"{name}: flushed parts are there", not missing, missing)
            LOST["parts kept"] += len(have)
        done, _ = self.job.finish(name, out)
        check(f"{name}: no part is damaged", "damaged" not in done.stderr, done.stderr[-400:])

    def lying(self, name, folder):
        out = f"{folder}/out.h5"
        done = self.job.start(out)
        clean(name, done)
        LOST["damaged parts"] += done.stderr.count("damaged part")
        if done.returncode == 0 and not differences(self.job.want, readable(out)):
            return
        LOST["torn results"] += 1
        verified = subprocess.run([PATCHBAY, "verify", out], env=environment(), text=True,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        clean(f"{name}: verify", verified)
        check(f"{name}: verify refuses a torn result", verified.returncode != 0)
        self.job.finish(f"{name}, --force", out, "--force")


LOST = Counter()


def main():
    if sanitized("losses of power"):
        return totals()
    with tempfile.TemporaryDirectory() as temp:
        jobs = [Recording(Job("run", TINY, temp), temp), Recording(Job("eval", EVAL, temp), temp)]
        for recording in jobs:
            recording.check_replay()
        each(lambda x: x[0].lose_power(*x[1:]),
             [(jobs[i % 4 == 3], SEED * 100000 + i, i % 3 != 2) for i in range(LOSSES)])
    print("lost power:", dict(LOST))
    check("parts were kept, parts and results were torn",
          min(LOST["parts kept"], LOST["damaged parts"], LOST["torn results"]) > 0 or LOSSES < 40, LOST)
    return totals()


if __name__ == "__main__":
    sys.exit(main())
