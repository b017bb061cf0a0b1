#!/usr/bin/env python3
"""What ptxas says of every kernel, for every architecture: no stack, no spills, and no more registers
than kernels/cuda/kernels.def allows, which names every kernel. And the plugin that is made of them
loads, with every symbol that it needs, where CUDA's libraries are. BUILD: the folder of the build;
without nvcc there is nothing to read, and all is skipped."""
import ctypes
import glob
import os
import re
import subprocess
import sys

TABLE = "kernels/cuda/kernels.def"
ARCHITECTURES = {"sm_80", "sm_90", "sm_100", "sm_120"}


def read_table():
    with open(TABLE, encoding="utf-8") as f:
        rows = re.findall(r'^PB_GPU_KERNEL\("([^"]+)", (\d+), (\d+)\)$', f.read(), re.M)
    return {name: int(registers) for name, _, registers in rows}


def read_log(path):
    """(mangled name, architecture, registers, bytes of stack, spill stores, spill loads)."""
    name = architecture = memory = None
    with open(path, encoding="utf-8") as f:
        for line in f:
            if match := re.search(r"Compiling entry function '(\S+)' for '(\S+)'", line):
                name, architecture = match.groups()
            elif match := re.search(
                    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill", line):
                memory = [int(n) for n in match.groups()]
            elif (match := re.search(r"Used (\d+) registers", line)) and name:
                yield name, architecture, int(match.group(1)), *memory
                name = None


def plain_names(mangled):
    """norm_rows; attend_delta<2>; of other templates the name alone."""
    said = subprocess.run(["c++filt", *mangled], capture_output=True, text=True, check=True).stdout
    names = {}
    for symbol, text in zip(mangled, said.splitlines()):
        text = re.sub(r"^void ", "", text).partition("(")[0]
        names[symbol] = re.sub(r"^(?!attend(_delta)?<)(\w+)<.*>$", r"\2", text)
    return names


def main():
    logs = glob.glob(os.path.join(os.environ.get("BUILD", "build/release"),
                                  "obj/kernels/cuda/*.ptxas"))
    if not logs:
        print("no kernel was compiled by nvcc here")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    table, rows = read_table(), [row for log in logs for row in read_log(log)]
    names = plain_names(sorted({row[0] for row in rows}))
    wrong, seen = [], {}
    for symbol, architecture, registers, *memory in rows:
        name = names[symbol]
        seen.setdefault(name, set()).add(architecture)
        if any(memory):
            wrong.append(f"{name}, {architecture}: stack, spill stores and loads of {memory} bytes")
        if registers > table.get(name, 0):
            wrong.append(f"{name}, {architecture}: {registers} registers, {TABLE} allows "
                         f"{table.get(name, 'none: it is not there')}")
    for name in table:
        if seen.get(name) != ARCHITECTURES:
            wrong.append(f"{name}: compiled for {sorted(seen.get(name, []))}")
    plugin = os.path.abspath(os.path.join(os.environ.get("BUILD", "build/release"),
                                          "libpatchbay_cuda.so"))
    try:
        ctypes.CDLL(plugin, os.RTLD_NOW).pb_cuda_open
    except (OSError, AttributeError) as error:
        wrong.append(f"the plugin does not load: {error}")
    rows.append(plugin)
    for line in wrong:
        print(line)
    print(f"{len(rows) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
