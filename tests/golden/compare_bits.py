#!/usr/bin/env python3
"""Two results of one experiment: every numeric dataset has the same shape and bits. Usage:

    compare_bits.py RESULT OTHER
"""
import sys

import h5py


def arrays(path):
    """Datasets of numbers by name, as type, shape and bytes."""
    found = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu":
            found[name] = (item.dtype.str, item.shape, item[()].tobytes())

    with h5py.File(path) as file:
        file.visititems(note)
    return found


def main():
    result, other = arrays(sys.argv[1]), arrays(sys.argv[2])
    wrong = sorted(set(result) ^ set(other)) or sorted(n for n in result if result[n] != other[n])
    sweeps = sum(name.startswith("sweeps/") for name in result)
    if wrong or not sweeps:
        print(f"{len(wrong)} datasets differ, {wrong[0]} first" if wrong else "there is no sweep")
        return 1
    print(f"{len(result)} datasets of the same bits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
