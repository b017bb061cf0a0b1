#!/usr/bin/env python3
"""`patchbay report`: its figures, tables and page against the values of the file; files that are damaged,
hostile, odd or large; what it leaves behind.

    tests/report/test_report.py        PATCHBAY: the binary (default build/release/patchbay)
"""
import base64
import csv
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

import h5py
import numpy as np

from result_files import ResultFile

PATCHBAY = os.environ.get("PATCHBAY", "build/release/patchbay")
SANITIZED = "/asan/" in os.path.abspath(PATCHBAY)
HAS_CAIRO = Path(PATCHBAY).with_name("libpatchbay_cairo.so").exists()
SVG = "{http://www.w3.org/2000/svg}"
RDBU = [0x053061, 0x2166ac, 0x4393c3, 0x92c5de, 0xd1e5f0, 0xf7f7f7, 0xfddbc7, 0xf4a582, 0xd6604d,
        0xb2182b, 0x67001f]
passed = failed = skipped = 0


def check(name, good, detail=""):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print(f"FAILED {name}: {detail}", flush=True)


def skip(name, why):
    global skipped
    skipped += 1
    print(f"{name}: skipped: {why}")


def run(*args):
    return subprocess.run([PATCHBAY, "report", *map(str, args)], capture_output=True, text=True)


def report(folder, *files, formats="svg", more=()):
    result = run(*files, "-o", folder, "--formats", formats, *more)
    check(f"{Path(folder).name}: made", result.returncode == 0, result.stderr)
    return Path(folder)


def page_data(folder):
    html = (folder / "index.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def unpack(packed):
    return np.frombuffer(base64.b64decode(packed["d"]), {"f8": "<f8", "f4": "<f4", "i4": "<i4", "u2": "<u2"}[packed["t"]])


def colour(value):
    """palette.c, in floats."""
    at = (min(max(value, -1), 1) + 1) * 5
    i = min(int(at), 9)
    part = at - i
    a, b = ([RDBU[k] >> s & 255 for s in (16, 8, 0)] for k in (i, i + 1))
    return tuple(x + part * (y - x) for x, y in zip(a, b))


def rgb(fill):
    return tuple(int(fill[i:i + 2], 16) for i in (1, 3, 5))


def cells_of(svg):
    """cell number -> (fill, hover text) of a figure."""
    root = ET.parse(svg).getroot()
    return {int(r.get("data-cell")): (r.get("fill"), r.findtext(f"{SVG}title"))
            for r in root.iter(f"{SVG}rect") if r.get("data-cell")}


def pixels(path):
    """An RGB PNG as an array: cairo writes colour type 2."""
    data, at, parts = path.read_bytes(), 8, b""
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert (depth, kind) == (8, 2), (depth, kind)
    while at < len(data):
        size, = struct.unpack(">I", data[at:at + 4])
        if data[at + 4:at + 8] == b"IDAT":
            parts += data[at + 8:at + 8 + size]
        at += 12 + size
    raw = np.frombuffer(zlib.decompress(parts), "u1").reshape(height, 1 + 3 * width).astype(int)
    out = np.zeros((height, 3 * width), int)
    for y in range(height):
        kind, line = raw[y, 0], raw[y, 1:]
        above = out[y - 1] if y else np.zeros(3 * width, int)
        if kind in (0, 2):
            out[y] = (line + (above if kind == 2 else 0)) % 256
            continue
        for x in range(3 * width):
            left = out[y, x - 3] if x >= 3 else 0
            corner = above[x - 3] if x >= 3 else 0
            if kind == 1:
                guess = left
            elif kind == 3:
                guess = (left + above[x]) // 2
            else:
                p = left + above[x] - corner
                guess = min((abs(p - left), 0, left), (abs(p - above[x]), 1, above[x]), (abs(p - corner), 2, corner))[2]
            out[y, x] = (line[x] + guess) % 256
    return out.reshape(height, width, 3)


# ---- figures -----------------------------------------------------------------------------------------

def test_heat_map(root):
    """Each head has the colour of its value, outlined by p_fwer, hatched where not applicable."""
    effects = np.random.default_rng(3).normal(0, .02, (6, 3, 4))
    for cell, value in (((1, 2), 4), ((2, 0), -2), ((0, 3), np.nan), ((2, 3), .3)):
        effects[(slice(None), *cell)] += value
    with ResultFile(root / "heat.h5") as f:
        f.sweep(effects=effects)
        f.sweep("patch_z_noise_all", effects=-effects)
    out = report(root / "heat", root / "heat.h5")
    with h5py.File(root / "heat.h5") as f:
        for name, shift in (("0_patch_z_denoise_all", 0), ("1_patch_z_noise_all", -1)):
            summary = f[f"sweeps/{name}/summary"]
            shown = summary["restoration"][:].ravel() + shift
            most = np.nanmax(np.abs(shown))
            cells = cells_of(out / f"figures/0-{name}-heads.svg")
            check(f"{name}: a place for each head", sorted(cells) == list(range(12)), cells)
            for i, value in enumerate(shown):
                fill, title = cells.get(i, ("#123456", ""))
                if np.isnan(value):
                    check(f"{name}: {i} not applicable", "not applicable" in title and rgb(fill) == (255,) * 3, (fill, title))
                    continue
                far = max(abs(a - b) for a, b in zip(rgb(fill), colour(value / most)))
                check(f"{name}: colour of {i}", far <= 1, (fill, value / most))
                said = float(title.split(": ")[1].split(" ")[0].rstrip(","))
                check(f"{name}: number of {i}", abs(said - value) <= 5e-4 * abs(value) + 1e-12, (title, value))
            text = (out / f"figures/0-{name}-heads.svg").read_text()
            outlined = text.count('fill="none" stroke="#000000"')
            want = int((summary["p_fwer"][:] < .05).sum())
            check(f"{name}: outlines", outlined == want == 2, (outlined, want))
            check(f"{name}: hatching", text.count('stroke="#999999"') > 0)
            check(f"{name}: quantity", ("restoration \u2212 1" in text) == (shift != 0))
    both = ET.parse(out / "figures/0-0_patch_z_denoise_all-directions.svg").getroot()
    with h5py.File(root / "heat.h5") as f:
        shown = [f[f"sweeps/{n}/summary/restoration"][:].ravel() - k for k, n in enumerate(("0_patch_z_denoise_all", "1_patch_z_noise_all"))]
    fills = [r.get("fill") for r in both.iter(f"{SVG}rect") if r.get("data-cell") and "not applicable" not in r.findtext(f"{SVG}title")]
    values = [v for part in shown for v in part if not np.isnan(v)]
    most = max(map(abs, values))
    far = [max(abs(a - b) for a, b in zip(rgb(c), colour(v / most))) for c, v in zip(fills, values)]
    check("both directions, one scale", len(fills) == len(values) and max(far) <= 1, far)
    other = report(root / "vmax", root / "heat.h5", more=("--vmax", "10", "--style", "page"))
    fill = cells_of(other / "figures/0-0_patch_z_denoise_all-heads.svg")[6][0]
    with h5py.File(root / "heat.h5") as f:
        value = f["sweeps/0_patch_z_denoise_all/summary/restoration"][1, 2]
    check("--vmax", max(abs(a - b) for a, b in zip(rgb(fill), colour(value / 10))) <= 1, (fill, value))


def test_png(root):
    """The same by pixels, and PDF: what cairo drew."""
    if not HAS_CAIRO:
        skip("pixels", "built without cairo")
        return
    out = report(root / "png", root / "heat.h5", formats="svg,pdf,png", more=("--dpi", "144"))
    name = "0-0_patch_z_denoise_all-heads"
    image = pixels(out / f"figures/{name}.png")
    for rect in ET.parse(out / f"figures/{name}.svg").getroot().iter(f"{SVG}rect"):
        if rect.get("data-cell") is None or "not applicable" in rect.findtext(f"{SVG}title"):
            continue
        x, y, h = (float(rect.get(k)) for k in ("x", "y", "height"))
        got = image[round((y + h * .25) * 2), round((x + 4) * 2)]
        check(f"pixel of {rect.get('data-cell')}", max(abs(got - rgb(rect.get("fill")))) <= 1, (got, rect.get("fill")))
    pdf = (out / f"figures/{name}.pdf").read_bytes()
    check("pdf", pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF"))
    again = report(root / "png2", root / "heat.h5", formats="svg,pdf,png", more=("--dpi", "144"))
    for file in sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file()):
        check(f"same bytes: {file}", (out / file).read_bytes() == (again / file).read_bytes())


def test_kinds(root):
    """Positions, patterns, paths, layers, alphas, sets, readings: a figure of each."""
    with ResultFile(root / "kinds.h5") as f:
        f.sweep("patch_z_denoise_each", ("layer", "head", "position"))
        f.sweep("patch_pattern_denoise_each_key", ("layer", "head", "query_position", "key_position"),
                attributes={"site": "pattern", "positions": "each_key"})
        paths = f.rng.normal(0, 1, (6, 3, 4, 3, 4))
        paths[:, 1:, :, :2] = np.nan
        f.sweep("path_head_to_q_denoise_freeze_all", ("sender_layer", "sender_head", "receiver_layer", "receiver_head"),
                effects=paths, attributes={"sender": "head", "receiver": "q"})
        f.sweep("patch_mlp_out_denoise_last", ("layer",), attributes={"site": "mlp_out"})
        f.sweep("scale_z_noise_all", (("alpha", np.array([0., .5, 2.])), "layer", "head"))
        group = f.sweep("zero_sets_z_noise_all", (("set", np.arange(3, dtype="i4")),))
        for name, values in (("random_mean", [.1, .1, np.nan]), ("random_low", [-.2, -.2, np.nan]), ("random_high", [.3, .4, np.nan]), ("p_random_effect", [.25, .5, np.nan])):
            group["summary"][name] = np.array(values)
        sets = f.f.create_group(f"sets/{group.name.split('/')[-1]}")
        for name, values in (("name", ["movers", "<b>&", "r0"]), ("source", ["named", "named", "random"]), ("members", ["L0H1", "L1H2", "L2H3"])):
            sets.create_dataset(name, data=np.array(values, object), dtype=h5py.string_dtype())
        shape = {"heads": (6, 3, 4), "mlp": (6, 3), "attn_bias": (6, 3), "embed": (6,), "pos_embed": (6,), "bias": (6,)}
        for name, dims in shape.items():
            f.f[f"readings/direct_logit_attribution/clean/{name}"] = f.rng.normal(0, 1, dims)
        for side in ("clean", "corrupted"):
            f.f[f"readings/logit_lens/{side}/logit_diff"] = f.rng.normal(0, 1, (6, 3))
        f.f["readings/head_scores/induction"] = f.rng.random((3, 4))
        f.f["activations/clean/pattern"] = f.rng.random((6, 3, 4, 8, 8)).astype("f4")
    out = report(root / "kinds", root / "kinds.h5")
    names = {p.stem[2:] for p in (out / "figures").glob("*.svg")}
    want = {"0_patch_z_denoise_each-heads", "0_patch_z_denoise_each-layer-position", "0_patch_z_denoise_each-head-position",
            "0_patch_z_denoise_each-pairs", "1_patch_pattern_denoise_each_key-pattern", "2_path_head_to_q_denoise_freeze_all-paths",
            "2_path_head_to_q_denoise_freeze_all-graph", "3_patch_mlp_out_denoise_last-layers", "4_scale_z_noise_all-heads",
            "5_zero_sets_z_noise_all-sets", "attribution", "logit-lens", "scores", "patterns"}
    check("a figure of each kind", want <= names, want - names)
    position = (out / "figures/0-0_patch_z_denoise_each-layer-position.svg").read_text()
    check("tokens on the axis", all(f"\u00b7word{i}" in position for i in range(8)))
    check("the differing token is bold", re.search(r'font-weight="bold"[^>]*>\u00b7word4<', position) is not None)
    check("roles as bands", "#0072b2" in position and "#e69f00" in position and ">state<" in position)
    with h5py.File(root / "kinds.h5") as f:
        best = np.abs(f["sweeps/0_patch_z_denoise_each/summary/effect"][:]).argmax(1)
        cells = cells_of(out / "figures/0-0_patch_z_denoise_each-layer-position.svg")
        heads = sorted((l, best[l, p], p) for l in range(3) for p in range(8))
        check("the strongest head stands for a position", sorted(np.unravel_index(c, (3, 4, 8)) for c in cells) == heads)
        strongest = np.nanargmax(np.abs(f["sweeps/2_path_head_to_q_denoise_freeze_all/summary/effect"][:]))
    a, b, c, d = np.unravel_index(strongest, (3, 4, 3, 4))
    graph = (out / "figures/0-2_path_head_to_q_denoise_freeze_all-graph.svg").read_text()
    check("the strongest path is drawn", f"L{a}H{b} to L{c}H{d}.q" in graph and f">L{c}H{d}<" in graph, (a, b, c, d))
    sets = (out / "figures/0-5_zero_sets_z_noise_all-sets.svg").read_text()
    check("sets by name, random ones behind", "&lt;b&gt;&amp;" in sets and "#c8c8c8" in sets and ">r0<" not in sets)
    words = [line for line in (out / "summary.md").read_text().split("\n") if "random sets of their size" in line]
    check("sets in words, beside random ones", len(words) == 1 and "movers: " in words[0] and ", p 0.25" in words[0] and
          ", p 0.5" in words[0] and "r0" not in words[0], words)
    table = list(csv.DictReader((out / "tables/0-5_zero_sets_z_noise_all.csv").open()))
    check("random sets in the table", [r["p_random_effect"] for r in table] == ["0.25", "0.5", ""] and
          [float(r["random_high"]) for r in table[:2]] == [.3, .4], table[0])
    data = page_data(out)["files"][0]
    check("readings in the page", {r["name"] for r in data["readings"]["heads"]} >= {"direct logit attribution", "induction score"})
    kept = data["readings"]["patterns"]
    with h5py.File(root / "kinds.h5") as f:
        pattern = f["activations/clean/pattern"][:].reshape(6, 12, 8, 8)[:, kept["heads"]][(slice(None), slice(None), *np.tril_indices(8))]
    check("patterns in the page", kept["pairs"] == 6 and np.abs(unpack(kept["clean"]) / 65535 - pattern.ravel()).max() <= 1 / 65535)


# ---- page and tables ---------------------------------------------------------------------------------------

def test_numbers(root):
    """The page's numbers and the tables' are the file's."""
    out, file = root / "heat", page_data(root / "heat")["files"][0]
    with h5py.File(root / "heat.h5") as f:
        for sweep in file["sweeps"]:
            group = f[f"sweeps/{sweep['name']}"]
            for part, suffix in (("all", ""), ("right", "_right")):
                for name, packed in sweep[part].items():
                    same = np.array_equal(unpack(packed), group[f"summary/{name}{suffix}"][:].ravel(), equal_nan=True)
                    check(f"page: {sweep['name']} {name}{suffix}", same)
            raw = unpack(sweep["raw"]).reshape(6, -1)
            base = f["base/clean/logit_diff" if sweep["noise"] else "base/corrupted/logit_diff"][:]
            effect = group["logit_diff"][:].reshape(6, -1) - base[:, None]
            check(f"page: {sweep['name']} pairs", np.allclose(raw, effect, rtol=1e-6, equal_nan=True))
            with open(out / f"tables/0-{sweep['name']}.csv", encoding="utf-8", newline="") as table:
                rows = list(csv.DictReader(table))
            check("csv: a row a cell", [(int(float(r["layer"])), int(float(r["head"]))) for r in rows] == [(i // 4, i % 4) for i in range(12)])
            for name in ("effect", "p_fwer", "restoration", "ci_low_right"):
                got = np.array([float(r[name] or "nan") for r in rows])
                check(f"csv: {name}", np.array_equal(got, group[f"summary/{name}"][:].ravel(), equal_nan=True))
        with open(out / "tables/0-pairs.csv", encoding="utf-8", newline="") as table:
            rows = list(csv.DictReader(table))
        check("csv: pairs", [float(r["clean_logit_diff"]) for r in rows] == list(f["base/clean/logit_diff"][:]))
    text = (out / "summary.md").read_text()
    check("summary.md", "L1H2" in text and "| heat | plain forward | passed" in text, text)


def test_hostile_text(root):
    """Markup, other scripts, control characters and texts of odd length stay texts."""
    evil = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", " \u65e5\u672c\u8a9e", "\U0001f600", "a&b\"'", "\n", "\u2028", "]]>", "x" * 3000]
    attributes = {"title": "<b>bold</b></title><script>alert(2)</script>", "command": "a <!-- b", "config": "\u00e9: </pre>",
                  "model_path": "m\u00e4h<i>"}
    with ResultFile(root / "evil.h5", words=evil, attributes=attributes) as f:
        f.sweep()
        f.sweep("patch_z_denoise_each", ("layer", "head", "position"))
    out = report(root / "evil", root / "evil.h5")
    html = (out / "index.html").read_text(encoding="utf-8")
    check("three scripts: data and code", html.count("<script") == 2 and html.count("</script>") == 2, html.count("<script"))
    check("no markup of the file's", not re.search(r"<img|<i>|<b>bold", html))
    check("texts are whole", page_data(out)["files"][0]["pairs"]["tokens"]["0"] == evil[0])
    for svg in (out / "figures").glob("*.svg"):
        ET.parse(svg)
    passed_by = ET.parse(out / "figures/0-1_patch_z_denoise_each-layer-position.svg").getroot()
    check("other scripts on the axis", any("\u65e5\u672c\u8a9e" in (t.text or "") for t in passed_by.iter(f"{SVG}text")))


def test_odd_sizes(root):
    """One head, one pair, nothing but NaN, 48 x 25 heads, 2,000 tokens, unequal lengths."""
    for name, size, axes, effects in (
            ("one-head", dict(pairs=3, layers=1, heads=1, positions=1), ("layer", "head"), None),
            ("one-pair", dict(pairs=1), ("layer", "head"), None),
            ("all-nan", {}, ("layer", "head"), np.full((6, 3, 4), np.nan)),
            ("zero", {}, ("layer", "head"), np.zeros((6, 3, 4))),
            ("infinite", {}, ("layer", "head"), np.where(np.arange(12).reshape(3, 4) == 5, np.inf, np.ones((6, 3, 4)))),
            ("big", dict(pairs=2, layers=48, heads=25), ("layer", "head"), None),
            ("long", dict(pairs=1, layers=4, heads=2, positions=2000), ("layer", "head", "position"), None),
            ("unequal", dict(equal=False), ("layer", "head"), None),
            ("no-sweep", {}, None, None)):
        with ResultFile(root / f"{name}.h5", **size) as f:
            if axes:
                f.sweep("patch_z_denoise_each" if len(axes) > 2 else "patch_z_denoise_all", axes, effects=effects)
        out = report(root / name, root / f"{name}.h5", formats="svg,png" if HAS_CAIRO else "svg")
        page_data(out)
        for svg in (out / "figures").glob("*.svg"):
            bad = [n for n in re.findall(r'="([^"]*)"', svg.read_text()) if n in ("nan", "inf", "-nan", "-inf")]
            check(f"{name}: {svg.name}: numbers", not bad, bad)


def test_from_the_end(root):
    """Pairs of unequal lengths: positions count from the end, with the tokens of the first pair."""
    with ResultFile(root / "ends.h5", equal=False) as f:
        f.sweep("patch_z_denoise_each", ("layer", "head", ("position_from_end", np.arange(-8, 0, dtype="i4"))))
    out = report(root / "ends", root / "ends.h5")
    figure = (out / "figures/0-0_patch_z_denoise_each-layer-position.svg").read_text()
    check("from the end: tokens", all(f"\u00b7word{i}" in figure for i in range(8)))
    check("from the end: the axis says so", "position from the end: token of the first pair" in figure)
    check("from the end: the differing token is bold", re.search(r'font-weight="bold"[^>]*>\u00b7word4<', figure) is not None)
    check("from the end: the caption", "the first pair's prompts differ where tokens are bold" in (out / "summary.md").read_text())


def test_too_large(root):
    """A map that nobody could see is an error, not a figure of gigabytes."""
    with ResultFile(root / "wide.h5", pairs=1, layers=2, heads=1) as f:
        f.sweep(axes=("layer", ("head", np.arange(600000, dtype="i4"))), effects=np.zeros((1, 2, 600000)))
    result = run(root / "wide.h5", "-o", root / "wide", "--formats", "svg")
    check("too large", result.returncode == 2 and "1200000 places" in result.stderr and not (root / "wide").exists(), result.stderr)


def test_partial_and_several(root):
    with ResultFile(root / "partial.h5", complete=0) as f:
        f.sweep()
    out = report(root / "partial", root / "partial.h5")
    html = (out / "index.html").read_text()
    check("partial is said", "partial: not all of the experiment is here" in html and "(partial)" in (out / "summary.md").read_text())
    with ResultFile(root / "other.h5", seed=1) as f:
        f.sweep()
    result = run(root / "partial.h5", root / "other.h5", "-o", root / "both", "--formats", "svg")
    check("different experiments refused", result.returncode == 2 and "--compare" in result.stderr, result.stderr)
    check("nothing left", not (root / "both").exists())
    both = report(root / "both", root / "partial.h5", root / "other.h5", more=("--compare",))
    (root / "again").mkdir()
    shutil.copy(root / "other.h5", root / "again" / "other.h5")
    twins = report(root / "twins", root / "other.h5", root / "again" / "other.h5")
    check("files of one name are told apart", [f["label"] for f in page_data(twins)["files"]] ==
          [str(root / "other"), str(root / "again" / "other")])
    check("side by side", [f["label"] for f in page_data(both)["files"]] == ["partial", "other"])
    with h5py.File(root / "other.h5", "r+") as f:
        f["checks/variant_logit_diff_plain"][0] += 1
    out = report(root / "failing", root / "other.h5")
    html = (out / "index.html").read_text()
    check("a failed check is red", 'class="badge bad" href="#run"' in html and "failed: own check" in html and "by a plain forward" in html)


def program(*args):
    result = subprocess.run([PATCHBAY, *map(str, args)], capture_output=True, text=True)
    check(" ".join(map(str, args[:2])), result.returncode == 0, result.stderr)


def test_other_files(root):
    """An evaluation, a swept grid and a comparison, made by the program."""
    config = root / "grid.yaml"
    grid = "grid: {boxes: [3, 4], moves: [1, 2]}\noutput: out.h5\n"
    config.write_text("model: {path: data/boxbench}\ntask: {name: box, prompts: 4}\n" + grid)
    program("eval", config, "-o", root / "eval.h5")
    config.write_text("model: {path: data/boxbench}\ntask: {name: box, pairs: 2}\n"
                      "sweep: [{intervention: patch, site: z, positions: last}]\n" + grid)
    program("run", config, "-o", root / "run0.h5")
    program("run", config, "--set", "task.seed=1", "-o", root / "run1.h5")
    program("compare", root / "run0.h5", root / "run1.h5", "--any-task", "-o", root / "cmp.h5")
    out = report(root / "eval", root / "eval.h5")
    with h5py.File(root / "eval.h5") as f:
        accuracy = f["summary/accuracy"][:].ravel()
        with open(out / "tables/0-cells.csv", encoding="utf-8", newline="") as table:
            rows = list(csv.DictReader(table))
    check("csv of cells", [float(r["accuracy"]) for r in rows] == list(accuracy) and [r["boxes"] for r in rows] == ["3", "3", "4", "4"], rows)
    cells = cells_of(out / "figures/0-accuracy.svg")
    good = all(max(abs(a - b) for a, b in zip(rgb(cells[i][0]), colour(-x))) <= 1 for i, x in enumerate(accuracy))
    check("colours of cells", sorted(cells) == list(range(4)) and good, cells)
    check("accuracy curves", (out / "figures/0-accuracy-curves.svg").exists())
    out = report(root / "run0", root / "run0.h5")
    with h5py.File(root / "run0.h5") as f:
        effect = f["sweeps/0_patch_z_denoise_last/cells/effect"][:].reshape(4, -1)
        best = np.abs(f["sweeps/0_patch_z_denoise_last/summary/effect"][:]).argmax()
        words = f["pairs/token_text"].asstr()[:]
        ids = f["pairs/token_id"][:]
        named = "".join(words[np.searchsorted(ids, i)] for i in f["pairs/clean_tokens"][0] if i >= 0)
        check("texts of tokens make the prompt", named == f["pairs/clean_text"].asstr()[0], named)
    said = [float(t.split(": ")[1].split(" ")[0]) for _, t in cells_of(out / "figures/0-0_patch_z_denoise_last-cells.svg").values()]
    check("the strongest head in each cell", np.allclose(said, effect[:, best], rtol=5e-4), (said, effect[:, best]))
    out = report(root / "cmp", root / "cmp.h5")
    with h5py.File(root / "cmp.h5") as f:
        share = f["comparison/depth_share"][:].ravel()
    titles = [float(t.text.split(": ")[1].split(" ")[0]) for t in ET.parse(out / "figures/0-depth.svg").getroot().iter(f"{SVG}title") if ": " in t.text]
    check("share by depth", np.allclose(titles, share[~np.isnan(share)], rtol=5e-4), (titles, share))


# ---- what must not work -----------------------------------------------------------------------------------

def damage(root):
    """(name, change of an open file)."""
    def replace(path, value):
        def change(f):
            del f[path]
            if value is not None:
                f[path] = value
        return change

    sweep = "sweeps/0_patch_z_denoise_all"
    yield "no pairs", replace("pairs", None)
    yield "no tokens", replace("pairs/clean_tokens", None)
    yield "tokens of another shape", replace("pairs/clean_tokens", np.zeros((6, 7), "i4"))
    yield "tokens as texts", lambda f: (f.pop("pairs/length"), f["pairs"].create_dataset("length", data=np.array(["x"] * 6, object), dtype=h5py.string_dtype()))
    yield "length of nothing", replace("pairs/length", np.full(6, -3, "i4"))
    yield "length past the end", replace("pairs/length", np.full(6, 10 ** 6, "i4"))
    yield "role without a name", replace("pairs/roles", np.full((6, 8), 9, "i4"))
    yield "no effect", replace(f"{sweep}/summary/effect", None)
    yield "no restoration", replace(f"{sweep}/summary/restoration", None)
    yield "column of another shape", replace(f"{sweep}/summary/p_fwer", np.zeros((2, 2)))
    yield "raw values of another shape", replace(f"{sweep}/logit_diff", np.zeros((6, 3)))
    yield "metric of another shape", lambda f: (f[sweep].create_dataset("prob_answer", data=np.zeros((6, 3))),
                                                f[f"{sweep}/summary"].create_dataset("prob_answer_mean", data=np.zeros((3, 4))))
    yield "mean of another shape", lambda f: f[f"{sweep}/summary"].create_dataset("kl_donor_mean", data=np.zeros((4, 4)))
    yield "patterns of another shape", lambda f: f.create_dataset("activations/corrupted/pattern", data=np.zeros((6, 3, 4, 7, 8), "f4"))
    yield "no checks", replace("checks", None)
    yield "no sweeps", replace("sweeps", None)
    yield "unknown intervention", lambda f: f[sweep].attrs.modify("intervention", "wave")
    yield "attribute as a number", lambda f: f.attrs.__setitem__("title", 3)
    yield "huge attribute", lambda f: f.attrs.__setitem__("config", "x" * (6 << 20))
    yield "huge dataset", lambda f: (f.pop("pairs/length"), f["pairs"].create_dataset("length", (1 << 40,), "i4", chunks=(1 << 20,)))
    yield "a group for a dataset", lambda f: (f.pop("pairs/length"), f["pairs"].create_group("length"))
    yield "another schema", lambda f: f.attrs.modify("schema_version", 99)


def test_damage(root):
    """A clear error, exit status 1 or 2, and nothing left."""
    for name, change in damage(root):
        path = root / "damaged.h5"
        with h5py.File(path, "w", libver="v110"):
            pass
        with ResultFile(path) as f:
            f.sweep()
        try:
            with h5py.File(path, "r+", libver=("v108", "v110")) as f:
                change(f)
        except (ValueError, OSError, RuntimeError) as error:
            skip(name, f"h5py cannot make it: {error}")
            continue
        result = run(path, "-o", root / "damaged", "--formats", "svg")
        good = result.returncode in (1, 2) and result.stderr.startswith("patchbay: ") and len(result.stderr) > 20
        check(f"{name}: refused", good, (result.returncode, result.stderr))
        left = [p.name for p in root.iterdir() if p.name.startswith("damaged") and p != path]
        check(f"{name}: nothing left", not left, left)
    if SANITIZED:
        skip("damaged bytes", "HDF5's own crashes, which a child process takes, would count as reports")
        return
    # Bytes of the middle overwritten: any result but a crash.
    with ResultFile(root / "bytes.h5") as f:
        f.sweep()
    whole = (root / "bytes.h5").read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(12):
        data = bytearray(whole)
        at = int(rng.integers(100, len(data) - 600))
        data[at:at + 400] = rng.integers(0, 256, 400, dtype="u1").tobytes()
        (root / "damaged.h5").write_bytes(data)
        result = run(root / "damaged.h5", "-o", root / "damaged", "--formats", "svg")
        check(f"bytes at {at}", result.returncode in (0, 1, 2), (result.returncode, result.stderr))
        check(f"bytes at {at}: all or nothing", (root / "damaged/index.html").exists() == (result.returncode == 0))
        shutil.rmtree(root / "damaged", ignore_errors=True)


def test_folders(root):
    """What is there is kept."""
    file, out = root / "heat.h5", root / "mine"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    for more in ((), ("--force",)):
        result = run(file, "-o", out, "--formats", "svg", *more)
        check(f"a folder with something else {more}", result.returncode == 2 and (out / "thesis.tex").exists(), result.stderr)
    (out / "thesis.tex").unlink()
    report(out, file)
    result = run(file, "-o", out, "--formats", "svg")
    check("a report is not replaced", result.returncode == 2 and "--force" in result.stderr, result.stderr)
    (out / "figures/notes.txt").write_text("mine")
    before = (out / "index.html").stat().st_ino
    report(out, file, more=("--force",))
    check("--force replaces it", (out / "index.html").stat().st_ino != before)
    kept = [p for p in root.glob("mine.old.*/figures/notes.txt")]
    check("what is no report's is kept", len(kept) == 1 and not list(root.glob("mine.old.*/**/*.svg")), kept)
    for bad in (("--style", "poster"), ("--dpi", "x"), ("--vmax", "0"), ("--vmax", "nan"), ("--formats", "gif")):
        result = run(file, "-o", root / "bad", *bad)
        check(f"refused: {bad}", result.returncode == 2 and bad[0] in result.stderr, result.stderr)
    check("no -o", run(file).returncode == 2)
    check("no such file", run(root / "nowhere.h5", "-o", root / "bad").returncode == 2)
    check("no folder to make it in", run(file, "-o", root / "a/b/c", "--formats", "svg").returncode == 2)
    check("not HDF5", run(__file__, "-o", root / "bad", "--formats", "svg").returncode == 2)
    check("nothing left", not (root / "bad").exists() and not list(root.glob("*.tmp.*")))


def test_size_and_speed(root):
    """100 pairs x 1,200 heads: under 5 MB and under 5 seconds."""
    with ResultFile(root / "xl.h5", pairs=100, layers=48, heads=25, positions=40) as f:
        f.sweep(metrics=("prob_answer", "kl_donor", "candidate_logits"))
        f.sweep("patch_z_noise_all", metrics=("prob_answer", "kl_donor"))
        f.sweep("patch_z_denoise_each", ("layer", "head", "position"), metrics=("prob_answer",))
    before = os.times()
    out = report(root / "xl", root / "xl.h5", formats="svg,pdf,png" if HAS_CAIRO else "svg")
    after, size = os.times(), (out / "index.html").stat().st_size
    # of the processor: one thread, and other jobs may run here
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"100 pairs x 1,200 heads: {seconds:.1f} s, {size / 1e6:.2f} MB")
    check("under 5 MB", size < 5e6, size)
    if SANITIZED:
        skip("under 5 seconds", "a sanitizer build")
    else:
        check("under 5 seconds", seconds < 5, seconds)
    check("pairs of heads in the page", "raw" in page_data(out)["files"][0]["sweeps"][0])


def main():
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for test in (test_heat_map, test_png, test_kinds, test_numbers, test_hostile_text, test_odd_sizes, test_from_the_end, test_too_large,
                     test_partial_and_several, test_other_files, test_damage, test_folders, test_size_and_speed):
            start = time.monotonic()
            try:
                test(root)
            except Exception as error:  # the other tests still say what they find
                check(test.__name__, False, f"{type(error).__name__}: {error}")
            print(f"{test.__name__}: {time.monotonic() - start:.1f} s", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
