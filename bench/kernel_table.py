"""What Nsight Compute saw, a line a kernel: kernel_table.py FILE.csv

FILE is what `ncu --csv --metrics gpu__time_duration.sum,dram__bytes_read.sum,dram__bytes_write.sum`
writes: launches, time, its share, time a launch, and how much of the device's memory traffic a second.
"""
import collections
import csv
import sys


def read(path):
    """{kernel: {metric: sum, "launches": n}}; times in ns, memory in bytes."""
    kernels = collections.defaultdict(collections.Counter)
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("==")):
            name = row["Kernel Name"].removeprefix("void ").partition("(")[0]
            metric, value = row["Metric Name"], float(row["Metric Value"].replace(",", ""))
            kernels[name][metric] += value
            kernels[name]["launches"] += metric == "gpu__time_duration.sum"
    return kernels


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: kernel_table.py FILE.csv")
    kernels = read(sys.argv[1])
    total = sum(k["gpu__time_duration.sum"] for k in kernels.values())
    print(f"{'kernel':56} {'launches':>8} {'ms':>9} {'share':>6} {'us each':>8} {'GB/s':>6}")
    for name, k in sorted(kernels.items(), key=lambda item: -item[1]["gpu__time_duration.sum"]):
        time = k["gpu__time_duration.sum"]
        moved = k["dram__bytes_read.sum"] + k["dram__bytes_write.sum"]
        print(f"{name[:56]:56} {k['launches']:8} {time * 1e-6:9.3f} {time / total:6.1%} "
              f"{time * 1e-3 / k['launches']:8.1f} {moved / time:6.0f}")


if __name__ == "__main__":
    main()
