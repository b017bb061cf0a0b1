#!/usr/bin/env python3
"""Bits that flip. In a part: the value is not touched by it, or the chunk is found damaged and
computed again; the result is right. In a result: `verify` refuses it, or nothing in it has changed.

    tests/fault/test_damage.py      PB_FLIPS: flips in results (300); PB_SEED: others (0)
"""
from collections import Counter

from faults import *

FLIPS = number("PB_FLIPS", 300)
SEED = int(os.environ.get("PB_SEED", "0"))


def regions(path):
    """[(what, first byte, past the last)] of an HDF5 file: raw data by its storage, text heaps by
    their signature, attributes by their names; all else is the file's own structure."""
    blob, found = Path(path).read_bytes(), []

    def add(name, item):
        if not isinstance(item, h5py.Dataset):
            return
        kind = "text" if item.dtype.kind == "O" else "values"
        if item.chunks:
            for i in range(item.id.get_num_chunks()):
                info = item.id.get_chunk_info(i)
                found.append((kind, info.byte_offset, info.byte_offset + info.size))
        elif item.id.get_offset() is not None:
            found.append((kind, item.id.get_offset(), item.id.get_offset() + item.id.get_storage_size()))
    with h5py.File(path, "r") as f:
        f.visititems(add)
        names = {name.encode() for name in f.attrs} | {b"long_name", b"units", b"_FillValue"}
    for signature, kind, size in ((b"GCOL", "text heap", 4096), (b"OHDR", "object header", 256),
                                  (b"OCHK", "object header", 256), (b"TREE", "index", 512),
                                  (b"FRHP", "heap", 256), (b"BTHD", "index", 64)):
        at = blob.find(signature)
        while at >= 0:
            if signature == b"GCOL":
                size = struct.unpack_from("<Q", blob, at + 8)[0]
            found.append((kind, at, min(len(blob), at + size)))
            at = blob.find(signature, at + 1)
    for name in sorted(names):
        at = blob.find(name)
        while at >= 0:
            found.append(("attribute", at, min(len(blob), at + len(name) + 40)))
            at = blob.find(name, at + 1)
    found.append(("file header", 0, 64))
    found.append(("anywhere", 0, len(blob)))
    by_kind = {}
    for kind, begin, end in found:
        by_kind.setdefault(kind, []).append((begin, end))
    return by_kind


def place(rng, by_kind, kind=None):
    kind = kind or rng.choice(sorted(by_kind))
    begin, end = rng.choice(by_kind[kind])
    return kind, rng.randrange(begin, end)


def flip(blob, at, rng):
    blob[at] ^= 1 << rng.randrange(8) if rng.random() < 0.7 else rng.randrange(1, 256)


# ---- parts --------------------------------------------------------------------------------------

def make_parts(job, temp):
    """A run that is killed when all its parts are there."""
    folder = f"{temp}/{job.name}-parts"
    os.mkdir(folder)
    out = f"{folder}/out.h5"
    n = job.n_chunks
    done = job.start(out, env=environment("files", PB_FAULT_UNDER=folder, PB_FAULT_CALL="rename",
                                          PB_FAULT_AT=n + 1, PB_FAULT_KIND="kill"))
    parts = sorted(Path(f"{out}.parts").glob("chunk-*.h5"))
    check(f"{job.name}: parts to damage", done.returncode == -9 and len(parts) == n, parts)
    for temporary in Path(folder).glob("*.tmp.*"):
        temporary.unlink()
    return folder, parts


def damage_part(case):
    job, folder, parts, seed, kind = case
    rng = random.Random(seed)
    part = rng.choice(parts)
    copy = f"{folder}-{seed}"
    shutil.copytree(folder, copy)
    victim = f"{copy}/out.h5.parts/{part.name}"
    blob = bytearray(Path(victim).read_bytes())
    if kind == "cut":
        at = rng.randrange(len(blob))
        del blob[at:]
    else:
        kind, at = place(rng, regions(victim), kind)
        flip(blob, at, rng)
    Path(victim).write_bytes(blob)
    name = f"{job.name}, {part.name}, {kind}, byte {at}, seed {seed}"
    done = job.start(f"{copy}/out.h5")
    clean(name, done)
    if done.returncode == 2 and "another experiment" in done.stderr + "different experiment":
        # a part that says it is of another experiment is the user's to judge
        FOUND["parts of another experiment"] += 1
        done, _ = job.finish(f"{name}, --force", f"{copy}/out.h5", "--force")
    else:
        check(f"{name}: continues", done.returncode == 0, f"{done.returncode}: {done.stderr[-400:]}")
        job.compare(name, f"{copy}/out.h5")
        nothing_left(name, f"{copy}/out.h5")
        damaged = "damaged part" in done.stderr
        check(f"{name}: says which part", not damaged or part.name in done.stderr, done.stderr[-400:])
        FOUND["damaged parts" if damaged else "untouched parts"] += 1
        if kind in ("values", "cut"):
            check(f"{name}: is found", damaged, done.stderr[-300:])
    shutil.rmtree(copy)


# ---- results ------------------------------------------------------------------------------------

def damage_result(case):
    job, by_kind, temp, seed = case
    rng = random.Random(seed)
    blob = bytearray(Path(job.reference).read_bytes())
    if seed % 20 == 0:
        kind, at = "cut", rng.randrange(len(blob))
        del blob[at:]
    else:
        kind, at = place(rng, by_kind)
        flip(blob, at, rng)
    path = f"{temp}/damaged-{seed}.h5"
    Path(path).write_bytes(blob)
    name = f"{job.name}, result, {kind}, byte {at}, seed {seed}"
    done = subprocess.run([PATCHBAY, "verify", path], env=environment(), text=True, errors="replace",
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
    clean(name, done)
    FOUND["verified" if done.returncode == 0 else "refused"] += 1
    if done.returncode == 0:
        wrong = differences(job.want, readable(path), may_differ=NOTHING)
        check(f"{name}: verify accepts what has changed", not wrong, wrong[:5])
    if kind in ("values", "cut"):
        check(f"{name}: verify refuses", done.returncode in (1, 2), done.returncode)
    os.remove(path)


FOUND = Counter()


def main():
    if sanitized("damaged files"):
        return totals()
    with tempfile.TemporaryDirectory() as temp:
        jobs = [Job("run", TINY, temp), Job("eval", EVAL, temp)]
        for job in jobs:
            job.n_chunks = len(job.want["/checks/chunk_isa"])
            folder, parts = make_parts(job, temp)
            kinds = sorted(regions(parts[0])) + ["cut"]
            n = max(len(kinds), FLIPS // 8)
            each(damage_part, [(job, folder, parts, SEED * 100000 + i, kinds[i % len(kinds)])
                               for i in range(n)])
            by_kind = regions(job.reference)
            each(damage_result, [(job, by_kind, temp, SEED * 100000 + i) for i in range(FLIPS // 2)])
    print("what became of it:", dict(FOUND))
    check("damage is found", FOUND["refused"] > FLIPS // 2 and FOUND["damaged parts"] > 0, FOUND)
    return totals()


if __name__ == "__main__":
    sys.exit(main())
