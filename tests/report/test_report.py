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


WIDTHS = [int(x) for x in re.search(r"widths\[95\] = \{(.*?)\}", Path("host/report/drawing.c").read_text(), re.S)[1].split(",")]


def text_width(text, size):
    """In DejaVu Sans, which is wide: what fits by it fits."""
    return size * sum(WIDTHS[ord(c) - 32] if c < "\x7f" else 84 if c == "\u2212" else 100 for c in text) / 100


def outside(svg):
    """Texts that leave their figure."""
    root = ET.parse(svg).getroot()
    width, height = (float(x) for x in root.get("viewBox").split()[2:])
    found = []
    for t in root.iter(f"{SVG}text"):
        x, y, size = (float(t.get(k)) for k in ("x", "y", "font-size"))
        text = t.text or ""
        wide = text_width(text, size)
        low = -wide * {None: 0, "middle": .5, "end": 1}[t.get("text-anchor")]
        box = (x - size * .7, y - low - wide, x, y - low) if t.get("transform") else (x + low, y - size * .7, x + low + wide, y)
        if min(box) < -.1 or box[2] > width + .1 or box[3] > height + .1:
            found.append((text, box))
    return found


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

def contrast(a, b):
    """Of two colours, as WCAG 2 has it."""
    def light(c):
        return sum(w * (x / 12.92 if x <= .04045 else ((x + .055) / 1.055) ** 2.4) for w, x in zip((.2126, .7152, .0722), (x / 255 for x in rgb(c))))
    high, low = sorted((light(a), light(b)), reverse=True)
    return (high + .05) / (low + .05)


def test_contrast(root):
    """Values can be read on every colour of the scale."""
    values = np.linspace(-1, 1, 12).reshape(3, 4) * 5
    with ResultFile(root / "contrast.h5") as f:
        f.sweep(effects=values + np.zeros((6, 1, 1)))
    marks = list(ET.parse(report(root / "contrast", root / "contrast.h5") / "figures/0-0_patch_z_denoise_all-heads.svg").getroot().iter())
    seen = []
    for k, place in enumerate(marks):
        if place.get("data-cell"):
            text = next(m for m in marks[k + 1:] if m.tag in (f"{SVG}text", f"{SVG}rect"))
            seen.append((text.text, place.get("fill"), text.tag == f"{SVG}text" and contrast(text.get("fill"), place.get("fill"))))
    check("contrast of values", len(seen) == 12 and all(c >= 4.5 for _, _, c in seen), seen)


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
    texts = [t.text for t in both.iter(f"{SVG}text")]
    check("both directions: each panel says what it shows, the scale what both do",
          {"denoise: restoration", "noise: restoration \u2212 1", "restoration \u2212 baseline"} <= set(texts) and "restoration" not in texts, texts)
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
        f.sets(group, [("movers", "named", "L0H1"), ("<b>&", "named", "L1H2"), ("r0", "random", "L2H3")])
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
    words = [line for line in (out / "summary.md").read_text().split("\n") if line.startswith("- path head to q")]
    check("cells that are not applicable are not counted", len(words) == 1 and ": of 80 applicable cells (144 in all), " in words[0], words)
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


def histogram(path):
    """Heights of the steps of a closed path that stands on its first point, in parts of the highest."""
    points = np.array([[float(x) for x in p.split(" ")] for p in re.findall(r"[\d.-]+ [\d.-]+", path)])
    heights = points[0, 1] - points[1:-1:2, 1]
    return heights / heights.max()


def test_ends_of_paths(root):
    """Matrices of one row or column: labels by name, and nothing beyond the figure."""
    one = np.array([3], "i4")
    with ResultFile(root / "ends-of-paths.h5", layers=8, heads=8) as f:
        f.sweep("path_embed_to_q_denoise_freeze_all", ("receiver_layer", "receiver_head"), attributes={"sender": "embed", "receiver": "q"})
        f.sweep("path_mlp_to_mlp_noise_freeze_all", ("sender_layer", ("receiver_layer", one)), attributes={"sender": "mlp", "receiver": "mlp"})
        f.sweep("path_head_to_set_denoise_freeze_all", (("sender_layer", one), ("sender_head", one)), attributes={"sender": "head", "receiver": "set"})
        f.sweep("path_mlp_to_set_noise_freeze_all", ("sender_layer",), attributes={"sender": "mlp", "receiver": "set"})
        f.sweep("path_mlp_to_q_noise_freeze_all", (("sender_layer", one), "receiver_layer", "receiver_head"), attributes={"sender": "mlp", "receiver": "q"})
    out = report(root / "ends-of-paths", root / "ends-of-paths.h5", more=("--vmax", ".0001234"))
    with ResultFile(root / "wide-labels.h5", words=[f" wonderfully wide {i}" for i in range(9)]) as f:
        f.sweep("patch_pattern_noise_each_key", ("layer", "head", "query_position", "key_position"), attributes={"site": "pattern", "positions": "each_key"})
        f.sweep("patch_z_noise_all")
        f.sweep("patch_z_denoise_all")
    wide = report(root / "wide-labels", root / "wide-labels.h5")
    for svg in sorted((out / "figures").glob("*.svg")) + sorted((wide / "figures").glob("*.svg")):
        check(f"{svg.name}: nothing beyond it", not outside(svg), outside(svg))
        if svg.name.endswith("-graph.svg"):
            check(f"{svg.name}: none behind a box", not boxes_behind(svg)[0], boxes_behind(svg)[0])
    words = (out / "summary.md").read_text()
    check("a graph of one path in words", "the strongest path, to the set of receivers. Red" in words, words)
    texts = [{t.text for t in ET.parse(p).getroot().iter(f"{SVG}text")} for p in sorted((out / "figures").glob("*-paths.svg"))]
    said = [line for line in (out / "summary.md").read_text().split("\n") if re.match("- path (mlp to mlp|head to set)", line)]
    check("counts of cells", [bool(re.search(want, line)) for want, line in zip((": of 8 cells, ", ": of 1 cell, "), said)] == [True] * 2, said)
    check("a row of the embedding", "embed" in texts[0], texts[0])
    check("MLPs by name", {"M0", "M7", "M3"} <= texts[1] and {"M0", "M7"} <= texts[2] and "M3" in texts[3], texts[1:])


def labels_of_rows(svg):
    """Texts that end at the left of a map's places, from top to bottom."""
    root = ET.parse(svg).getroot()
    left = min(float(r.get("x")) for r in root.iter(f"{SVG}rect") if r.get("data-cell"))
    found = [(float(t.get("y")), t.text) for t in root.iter(f"{SVG}text")
             if t.get("text-anchor") == "end" and not t.get("transform") and abs(float(t.get("x")) - left) < 3]
    return [text for _, text in sorted(found)]


def test_senders(root):
    """Senders of one receiver: rows are layers where they are heads, MLPs where there are none."""
    with ResultFile(root / "senders.h5") as f:
        f.sweep("path_head_to_logits_denoise_freeze_all", ("sender_layer", "sender_head"), attributes={"sender": "head", "receiver": "logits"})
        f.sweep("path_mlp_to_logits_denoise_freeze_all", ("sender_layer",), attributes={"sender": "mlp", "receiver": "logits"})
    figures = report(root / "senders", root / "senders.h5") / "figures"
    heads, mlps = (labels_of_rows(figures / name) for name in ("0-0_path_head_to_logits_denoise_freeze_all-heads.svg",
                                                               "0-1_path_mlp_to_logits_denoise_freeze_all-paths.svg"))
    check("senders that are heads: layers", heads == ["0", "1", "2"], heads)
    check("senders that are MLPs: by name", mlps == ["M0", "M1", "M2"], mlps)


def boxes_behind(svg, margin=.2):
    """Arrows of a graph that lie on a box which is none of their ends, or on another node's name; arrows that begin
    or end away from their ends."""
    root = ET.parse(svg).getroot()
    rects = [r for r in root.iter(f"{SVG}rect") if r.get("stroke") == "#404040"]
    boxes = [[float(r.get(k)) for k in ("x", "y", "width", "height")] for r in rects]
    names = {}
    for t in root.iter(f"{SVG}text"):
        at = [i for i, (x, y, w, h) in enumerate(boxes) if x <= float(t.get("x")) <= x + w and y <= float(t.get("y")) <= y + h]
        if at:
            names[at[0]] = t.text
    found, arrows = [], 0
    for line in root.iter(f"{SVG}path"):
        title = line.findtext(f"{SVG}title")
        if title is None:
            continue
        arrows += 1
        ends = [re.sub(r"\.\w+$", "", end) for end in title.split(": ")[0].split(" to ")]
        points = np.array([float(x) for x in re.findall(r"-?[\d.]+", line.get("d"))]).reshape(-1, 2)
        steps = np.concatenate([a + (b - a) * np.linspace(0, 1, 40)[:, None] for a, b in zip(points[:-1], points[1:])])
        for i, (x, y, w, h) in enumerate(boxes):
            inside = (steps[:, 0] > x - margin) & (steps[:, 0] < x + w + margin) & (steps[:, 1] > y - margin) & (steps[:, 1] < y + h + margin)
            if inside.any() and names.get(i) not in ends:
                found.append((title, names.get(i)))
            for end, at in zip(ends, (points[0], points[-1])):
                if names.get(i) == end and max(x - at[0], at[0] - x - w, y - at[1], at[1] - y - h) > h:
                    found.append((title, "away from", end))
    tops = {name: boxes[i][1] for i, name in names.items()}
    return found, arrows, len(names) == len(boxes) == len(set(names.values())), tops


def overlap(svg):
    """Boxes that lie on each other."""
    boxes = [[float(r.get(k)) for k in ("x", "y", "width", "height")] for r in ET.parse(svg).getroot().iter(f"{SVG}rect") if r.get("stroke") == "#404040"]
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]
            if a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]]


def test_graph(root):
    """No arrow lies on a node that it does not end at; layers are from top to bottom; widths are explained."""
    one = np.array([0], "i4")
    with ResultFile(root / "graph.h5", layers=13, heads=12) as f:
        effects = np.zeros((6, 13, 12, 13, 12))
        rng = np.random.default_rng(2)
        for k in range(20):  # from anywhere to anywhere later
            a, c = sorted(rng.choice(13, 2, replace=False))
            effects[:, a, rng.integers(12), c, rng.integers(12)] = (2 + k / 10) * (-1) ** k
        f.sweep("path_head_to_q_denoise_freeze_all", ("sender_layer", "sender_head", "receiver_layer", "receiver_head"),
                effects=effects, attributes={"sender": "head", "receiver": "q"})
        # the straight line of the strongest passes each layer between
        chain = np.zeros((6, 13, 1, 13, 1))
        for a in range(12):
            chain[:, a, 0, a + 1, 0] = 1
        chain[:, 0, 0, 12, 0] = 2
        f.sweep("path_head_to_k_denoise_freeze_all", ("sender_layer", ("sender_head", one), "receiver_layer", ("receiver_head", one)),
                effects=chain, attributes={"sender": "head", "receiver": "k"})
        # more heads of a layer than a row has room for
        many = np.zeros((6, 13, 12))
        many[:, 3] = np.linspace(1, 2, 12)
        many[:, 1, :8] = -1
        f.sweep("path_head_to_logits_denoise_freeze_all", ("sender_layer", "sender_head"), effects=many,
                attributes={"sender": "head", "receiver": "logits"})
        within = np.zeros((6, 13, 12, 13))
        for a in range(10):
            within[:, a, a, a] = 1
        f.sweep("path_head_to_mlp_denoise_freeze_all", ("sender_layer", "sender_head", "receiver_layer"), effects=within,
                attributes={"sender": "head", "receiver": "mlp"})
    for style in ("column", "slide"):
        out = report(root / f"graph-{style}", root / "graph.h5", more=("--style", style))
        for svg in sorted((out / "figures").glob("*-graph.svg")):
            found, arrows, named, tops = boxes_behind(svg)
            want = {"0": 20, "1": 13, "2": 20, "3": 10}[svg.name[2]]
            check(f"{style}: {svg.name}: arrows", arrows == want and named, (arrows, named))
            check(f"{style}: {svg.name}: none behind a box", not found, found)
            check(f"{style}: {svg.name}: boxes apart", not overlap(svg), overlap(svg))
            check(f"{style}: {svg.name}: nothing beyond it", not outside(svg), outside(svg))
            layer = {name: float(re.search(r"\d+", name)[0]) + .5 * (name[0] == "M") for name in tops if name != "logits"}
            check(f"{style}: {svg.name}: from top to bottom", all(tops[a] < tops[b] for a in layer for b in layer if layer[a] < layer[b]), tops)
            texts = [t.text for t in ET.parse(svg).getroot().iter(f"{SVG}text")]
            check(f"{style}: {svg.name}: a legend", {"|mean effect|, logits:", "raises", "lowers the logit difference"} <= set(texts), texts)
    words = [line.split("graph`: ")[1] for line in (out / "summary.md").read_text().split("\n") if "-graph`" in line]
    check("graphs in words", "the 20 strongest paths, to the receiver (q)." in words[0], words)


def test_titles(root):
    """Sweeps of one name are told apart by what differs, by their number where nothing does; sweeps of
    one head have no map of one place."""
    layer, head = ("layer", np.array([1], "i4")), ("head", np.array([2], "i4"))
    alphas = ("alpha", np.array([0., .5, 2.]))
    with ResultFile(root / "titles.h5") as f:
        f.sweep("patch_z_denoise_list", attributes={"list": np.array([3, -1], "i4"), "min_gap": .1})
        f.sweep("patch_z_denoise_list", attributes={"list": np.array([5], "i4"), "min_gap": .2})
        f.sweep("zero_z_noise_all")
        f.sweep("zero_z_noise_all")
        f.sweep("patch_pattern_denoise_each_key", (layer, head, "query_position", "key_position"),
                attributes={"site": "pattern", "positions": "each_key"})
        f.sweep("scale_z_noise_all", (alphas, layer, head), attributes={"alpha": alphas[1], "layers": np.array([1], "i4")})
        f.sweep("add_resid_pre_noise_all", (alphas, "layer"), attributes={"site": "resid_pre", "vector": "/a/b" * 30, "alpha": alphas[1]})
        f.sweep("add_resid_pre_noise_all", ("layer",), attributes={"site": "resid_pre", "vector": "/a/b" * 30, "alpha": alphas[1][:1]})
    out = report(root / "titles", root / "titles.h5")
    said = [line[2:].split(": ")[0] for line in (out / "summary.md").read_text().split("\n") if re.match(r"- .*: of \d+ cells", line)]
    plain = [t.replace("\\", "") for t in said]
    want = ["patch z denoise list (positions 3, -1, min_gap 0.1)", "patch z denoise list (positions 5, min_gap 0.2)",
            "zero z noise all (sweep 2)", "zero z noise all (sweep 3)", "patch pattern denoise each key", "scale z noise all",
            "add resid pre noise all (alpha 0, 0.5, 2)", "add resid pre noise all (alpha 0)"]
    check("titles", plain == want, plain)
    check("titles of the page", [x["title"] for x in page_data(out)["files"][0]["sweeps"]] == want)
    names = {p.stem[2:] for p in (out / "figures").glob("*.svg")}
    check("no map of one place", "4_patch_pattern_denoise_each_key-pattern" in names and
          not names & {"4_patch_pattern_denoise_each_key-heads", "5_scale_z_noise_all-heads"}, names)
    with h5py.File(root / "titles.h5") as f:
        by_alpha = f["sweeps/5_scale_z_noise_all/summary/restoration"][:].ravel() - 1
        by_layer = f["sweeps/6_add_resid_pre_noise_all/summary/restoration"][:] - 1
    for name, values in (("5_scale_z_noise_all-alphas", by_alpha), ("6_add_resid_pre_noise_all-layers", by_layer.ravel())):
        figure = ET.parse(out / f"figures/0-{name}.svg").getroot()
        said = [float(c.findtext(f"{SVG}title").split()[1]) for c in figure.iter(f"{SVG}circle") if c.find(f"{SVG}title") is not None]
        check(f"{name}: its values", np.allclose(said, values, rtol=5e-4, atol=1e-9), (said, values))
    check("a curve for each alpha", {"alpha = 0", "alpha = 0.5", "alpha = 2"} <= {t.text for t in figure.iter(f"{SVG}text")})


def test_rounding(root):
    """What is rounding alone is 0, wherever it is said; how many pairs a restoration is over."""
    effects = np.random.default_rng(7).normal(0, .1, (6, 3, 4))
    effects[:, 0, 1] = 9e-16 * np.array([1, -1, 1, 1, -1, 1])
    effects[:, 0, 2] = 6e-7
    with ResultFile(root / "rounding.h5") as f:
        for words in ("patch_z_denoise_all", "patch_z_noise_all"):
            group = f.sweep(words, effects=effects)
        group["summary/restoration_n_pairs"][...] = 4
        f.sweep("patch_mlp_out_denoise_last", ("layer",), attributes={"site": "mlp_out"}, effects=effects[:, 0, :3])
        f.sweep("zero_z_denoise_all", (("layer", np.zeros(1, "i4")), ("head", np.ones(1, "i4"))), effects=effects[:, :1, 1:2])
    out = report(root / "rounding", root / "rounding.h5")
    svgs = sorted((out / "figures").glob("*.svg"))
    found = [(p.name, x) for p in svgs for x in re.findall(r"[\d.]+e-1[1-9]", p.read_text())]
    check("rounding is 0 in figures", len(svgs) > 6 and not found, found)
    words = (out / "summary.md").read_text()
    check("rounding is 0 in words", not re.search(r"e-1[1-9]", words.split("## Checks")[0]), words)
    cells = cells_of(out / "figures/0-0_patch_z_denoise_all-heads.svg")
    check("what is small is no rounding", cells[1][1].startswith("L0H1: 0 [0, 0]") and re.match(r"L0H2: 9\.9\d+e-08 ", cells[2][1]), cells)
    with h5py.File(root / "rounding.h5") as f, (out / "tables/0-0_patch_z_denoise_all.csv").open() as table:
        rows = list(csv.DictReader(table))
        check("tables have all digits", float(rows[1]["effect"]) == f["sweeps/0_patch_z_denoise_all/summary/effect"][0, 1] != 0, rows[1])
        check("pairs of restorations in tables", rows[0]["restoration_n_pairs"] == "6", rows[0])
    said = [line for line in words.split("\n") if "restorations are over 4 of 6 pairs" in line]
    check("pairs of restorations are said", len(said) == 2 and all("patch z noise all" in line for line in said), said)


def test_sets(root):
    """Each set beside the distribution of the random sets of its size, in what the axis says."""
    sets = [("one", "named", "L0H0"), ("two", "named", "L0H0 L0H1"), ("with MLP", "named", "L0H0 M1")]
    sets += [(f"r{i}", "random", "L1H1") for i in range(5)] + [(f"s{i}", "random", "L1H1 L1H2") for i in range(4)]
    mean = np.array([-4, -2, -3, -.1, .2, .2, .2, .1, -1.5, .3, .2, .1])
    effects = mean + np.random.default_rng(5).normal(0, .01, (6, 12))
    with ResultFile(root / "sets.h5") as f:
        group = f.sweep("zero_sets_z_noise_all", (("set", np.arange(12, dtype="i4")),), effects=effects)
        group["summary/p_random_effect"] = np.array([1 / 6, .2, np.nan] + [np.nan] * 9)
        f.sets(group, sets)
    out = report(root / "sets", root / "sets.h5")
    with h5py.File(root / "sets.h5") as f:
        summary = f["sweeps/0_zero_sets_z_noise_all/summary"]
        shown, low, high = (summary[f"restoration{end}"][:] - 1 for end in ("", "_ci_low", "_ci_high"))
    figure = ET.parse(out / "figures/0-0_zero_sets_z_noise_all-sets.svg").getroot()
    texts = [t.text for t in figure.iter(f"{SVG}text")]
    check("sets: the axis", "restoration \u2212 1" in texts and "effect (logits)" not in texts, texts)
    check("sets: p beside them", [t for t in texts if t in ("0.17", "0.2")][:2] == ["0.17", "0.2"], texts)
    check("sets: no random ones by name", not {"r0", "s0"} & set(texts), texts)
    dots = {}
    for dot in figure.iter(f"{SVG}circle"):
        name, _, words = dot.findtext(f"{SVG}title").partition(": ")
        dots[name] = (float(dot.get("cx")), *[float(x) for x in re.findall(r"-?[\d.]+(?:e-\d+)?", words)[:3]], words)
    check("sets: a dot each", list(dots) == ["one", "with MLP", "two"], dots)
    for i, name in enumerate(("one", "two", "with MLP")):
        check(f"sets: {name}", np.allclose(dots[name][1:4], [shown[i], low[i], high[i]], rtol=5e-4), dots[name])
    check("sets: p in words", [("random sets" in dots[n][4]) for n in ("one", "two", "with MLP")] == [True, True, False]
          and "p 0.17 among 5 random sets" in dots["one"][4], dots)
    (x0, v0), (x1, v1) = dots["one"][:2], dots["two"][:2]
    grey = [p for p in figure.iter(f"{SVG}path") if p.get("fill") == "#c8c8c8"]
    check("sets: a distribution each", len(grey) == 2, len(grey))
    for path, sample, size in zip(grey, (shown[3:8], shown[8:]), (1, 2)):
        said = path.findtext(f"{SVG}title")
        check(f"sets: random of {size}", said.startswith(f"{len(sample)} random sets of {size} head{'s' * (size > 1)}: ")
              and np.isclose(float(said.split("mean ")[1].split(",")[0]), sample.mean(), rtol=5e-4, atol=1e-6)
              and np.isclose(float(said.split(" to ")[1]), np.quantile(sample, .975), rtol=5e-4), said)
        heights = histogram(path.get("d"))
        left, width = (float(x) for x in re.match(r"M([\d.]+) [\d.]+L[\d.]+ [\d.]+L([\d.]+)", path.get("d")).groups())
        bins = ((x0 + (sample - v0) * (x1 - x0) / (v1 - v0)) - left) / (width - left)
        counts = np.bincount(np.floor(bins).astype(int), minlength=len(heights))
        check(f"sets: where the random of {size} are", np.allclose(heights, counts / counts.max(), atol=.01), (heights, counts))


def test_head_pairs(root):
    """Sets `pairs: all` are a map of head x head, which is the same from both sides."""
    heads = [f"L{i // 4}H{i % 4}" for i in range(12)]
    names = [*heads, *(f"{a}+{b}" for i, a in enumerate(heads) for b in heads[i + 1:])]
    with ResultFile(root / "head-pairs.h5") as f:
        group = f.sweep("zero_sets_z_noise_all", (("set", np.arange(len(names), dtype="i4")),), effects=f.rng.normal(0, 1, (6, len(names))))
        f.sets(group, [(name, "pairs", name.replace("+", " ")) for name in names])
        group = f.sweep("patch_sets_z_denoise_all", (("set", np.arange(4, dtype="i4")),), effects=f.rng.normal(0, 1, (6, 4)))
        f.sets(group, [("L0H1", "pairs", "L0H1"), ("L0H1+L2H3", "pairs", "L0H1 L2H3"), ("L9H9+L0H1", "pairs", "L0H1"), ("mine", "named", "L1H1")])
    figures = report(root / "head-pairs", root / "head-pairs.h5") / "figures"
    made = {p.stem[2:] for p in figures.glob("*.svg")}
    check("head x head: beside sets by name alone", made >= {"0_zero_sets_z_noise_all-head-pairs", "1_patch_sets_z_denoise_all-head-pairs", "1_patch_sets_z_denoise_all-sets"}
          and "0_zero_sets_z_noise_all-sets" not in made, made)
    svg = figures / "0-0_zero_sets_z_noise_all-head-pairs.svg"
    places = [r for r in ET.parse(svg).getroot().iter(f"{SVG}rect") if r.get("data-cell")]
    with h5py.File(root / "head-pairs.h5") as f:
        shown = f["sweeps/0_zero_sets_z_noise_all/summary/restoration"][:] - 1
    at = {}
    for r in places:
        at[float(r.get("y")), float(r.get("x"))] = (int(r.get("data-cell")), r.get("fill"))
    rows, columns = (sorted({key[k] for key in at}) for k in (0, 1))
    check("head x head: its size", (len(places), len(rows), len(columns)) == (144, 12, 12), len(places))
    good = [names[at[y, x][0]] in (heads[i] if i == j else f"{heads[min(i, j)]}+{heads[max(i, j)]}",) for i, y in enumerate(rows) for j, x in enumerate(columns)]
    check("head x head: each where it belongs", all(good), good)
    far = [max(abs(a - b) for a, b in zip(rgb(fill), colour(shown[cell] / np.abs(shown).max()))) for cell, fill in at.values()]
    check("head x head: colours", max(far) <= 1, far)
    check("head x head: labels", labels_of_rows(svg) == heads, labels_of_rows(svg))
    check("head x head: nothing beyond it", not outside(svg), outside(svg))


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
    evil_file = root / "a|b `c` [d](e).h5"
    (root / "evil.h5").rename(evil_file)
    with h5py.File(evil_file, "r+") as f:
        f.attrs.modify("model_path", "m\u00e4h<i>|`x`\n# no heading")
        f.attrs.modify("git_commit", "}, evil = {`")
    out = report(root / "evil", evil_file)
    words = (out / "summary.md").read_text(encoding="utf-8")
    rows = [line for line in words.split("\n") if line.startswith("| ")]
    check("markdown: rows of three cells", len(rows) == 5 and all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows), rows)
    plain = re.sub(r"\\.", "", words.split("## How to cite")[0])
    check("markdown: nothing of the file's is markup", not re.search(r"`(?!figures/|\:)[^`\n]*`(?!:)|<|^# no|\]\(", plain, re.M) and re.search(r"^Model m.* no heading, fp32", words, re.M), plain)
    cite = words.split("```bibtex\n")[1].split("```")[0]
    check("cite: its fields", re.findall(r"^  (\w+) += \{.*\},?$", cite, re.M) == ["author", "title", "year", "version", "note"] and
          "{2026}" in cite and "{{The Patchbay developers}}" in cite and cite.count("{") == cite.count("}"), cite)
    html = (out / "index.html").read_text(encoding="utf-8")
    check("three scripts: data and code", html.count("<script") == 2 and html.count("</script>") == 2, html.count("<script"))
    check("cite: the page has the same", cite.strip() in html)
    check("no markup of the file's", not re.search(r"<img|<i>|<b>bold", html))
    check("texts are whole", page_data(out)["files"][0]["pairs"]["tokens"]["0"] == evil[0])
    for svg in (out / "figures").glob("*.svg"):
        ET.parse(svg)
    passed_by = ET.parse(out / "figures/0-1_patch_z_denoise_each-layer-position.svg").getroot()
    check("other scripts on the axis", any("\u65e5\u672c\u8a9e" in (t.text or "") for t in passed_by.iter(f"{SVG}text")))


def test_task(root):
    """What the pairs are made of is said in the page's head, in its facts and in summary.md."""
    of = {"task": ("task: {name: box, boxes: 3, moves: 2, pairs: 50, prompts: 500, corrupt: distractor, seed: 7}\nsweep: []\n",
                   "box: boxes 3, moves 2, pairs 50, corruption distractor, seed 7"),
          "grid": ("task:\n  name: dfa\n  mode: strict\n  seed: 0\ngrid:\n  states: [4, 2e+01]\n  steps: [1e+01]\n",
                   "dfa: mode strict, seed 0; grid: states 4 20, steps 10"),
          "pairs": ("pairs: my/<b>pairs</b>.jsonl\n", "pairs of my/<b>pairs</b>.jsonl")}
    for name, (config, want) in of.items():
        with ResultFile(root / f"task-{name}.h5", attributes={"config": config}) as f:
            f.sweep()
        out = report(root / f"task-{name}", root / f"task-{name}.h5")
        html, escaped = (out / "index.html").read_text(), want.replace("<", "&lt;").replace(">", "&gt;")
        head, words = html.split("<header>")[1].split("</header>")[0], (out / "summary.md").read_text()
        check(f"task of {name}: in the head", f'<span class="badge">{escaped}</span>' in head, head)
        check(f"task of {name}: among the facts", re.search(r'<th scope="row">task</th><td>([^<]*)</td>', html) is not None and f'<th scope="row">task</th><td>{escaped}</td>' in html)
        check(f"task of {name}: in summary.md", f"\n\nTask {want}.\n\n" in words.replace("\\", ""), words[:400])
    two = report(root / "task-two", root / "task-task.h5", root / "task-grid.h5", root / "task-task.h5", more=("--compare",))
    head = (two / "index.html").read_text().split("<header>")[1].split("</header>")[0]
    check("tasks of several files: each once", all(head.count(of[n][1]) == 1 for n in ("task", "grid")), head)
    with ResultFile(root / "task-broken.h5", attributes={"config": "task: {name: [box\n"}) as f:
        f.sweep()
    result = run(root / "task-broken.h5", "-o", root / "task-broken")
    check("a configuration that is none", result.returncode == 1 and "task-broken.h5: the configuration that the file keeps cannot be read: not valid YAML: attribute config" in result.stderr, (result.returncode, result.stderr))
    program("eval", "configs/dfa-grid.yaml", "--set", "task.prompts=2", "--set", "grid={states: [4], steps: [2]}", "-o", root / "task-eval.h5")
    words = (report(root / "task-eval", root / "task-eval.h5") / "summary.md").read_text()
    check("task of an evaluation: no pairs, no corruption", re.search(r"^Task dfa: mode \w+, .*, prompts 2, seed 0; grid: states 4, steps 2\.$", words.replace("\\", ""), re.M) is not None, words[:400])


def fonts_config(folder, files):
    """Environment in which these fonts alone are there, the first one for Helvetica."""
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder)
    family = subprocess.run(["fc-scan", "--format", "%{family[0]}", files[0]], capture_output=True, text=True).stdout
    (folder / "fonts.conf").write_text(f'''<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<dir>{folder}</dir><cachedir>{folder}/cache</cachedir><match target="pattern"><test name="family"><string>Helvetica</string></test>
<edit name="family" mode="assign" binding="strong"><string>{family}</string></edit></match></fontconfig>''')
    return {**os.environ, "FONTCONFIG_FILE": str(folder / "fonts.conf")}


def test_fonts(root):
    """What the first font lacks is taken from the next; what all lack is said once."""
    sans, mono = (Path(f"/usr/share/fonts/truetype/dejavu/DejaVuSans{end}.ttf") for end in ("", "Mono"))
    if not HAS_CAIRO or not sans.exists() or not mono.exists() or not shutil.which("fc-scan"):
        skip("fallback fonts", "needs cairo, fc-scan and the fonts of fonts-dejavu")
        return
    # a word that DejaVu Sans Mono lacks, and one that DejaVu Sans lacks too
    words = [" plain", " \U0001f600\U0001f601", " more"] + [" words"] * 6
    images, said = {}, {}
    for name, files, word in (("both", [mono, sans], words[1]), ("one", [mono], words[1]), ("none", [mono, sans], " \u65e5\u672c")):
        words[1] = word
        with ResultFile(root / f"font-{name}.h5", words=words) as f:
            f.sweep("patch_z_denoise_each", ("layer", "head", "position"))
        result = subprocess.run([PATCHBAY, "report", root / f"font-{name}.h5", "-o", root / f"font-{name}", "--formats", "png,pdf,svg"],
                                env=fonts_config(root / f"fonts-{name}", files), capture_output=True, text=True)
        check(f"fonts: {name}", result.returncode == 0, result.stderr)
        said[name] = result.stderr
        images[name] = pixels(root / f"font-{name}/figures/0-0_patch_z_denoise_each-layer-position.png")
    check("fonts: nothing to say where one has it", said["both"] == "", said)
    check("fonts: said once", said["one"].count("U+1F600") == 1 and said["one"].count("\n") == 1, said["one"])
    check("fonts: what no font has", said["none"].count("U+65E5") == 1 and "fonts-noto-cjk" in said["none"], said["none"])
    check("fonts: another picture than boxes", images["both"].shape == images["one"].shape and (images["both"] != images["one"]).any())
    rows = np.where((images["both"] != images["one"]).any((1, 2)))[0]
    check("fonts: the rest is the same", len(rows) and np.ptp(rows) < images["both"].shape[0] / 4, rows)


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


def test_differing_tokens(root):
    """Where there is no room for all tokens, those that differ are on the axis, and no two labels lie on each other."""
    with ResultFile(root / "many.h5", positions=39, heads=2) as f:
        for at in (7, 13, 38):  # besides 19
            f.f["pairs/corrupted_tokens"][:, at] = 0
        f.sweep("patch_z_denoise_each", ("layer", "head", "position"))
        f.sweep("patch_pattern_denoise_each_key", ("layer", "head", "query_position", "key_position"),
                attributes={"site": "pattern", "positions": "each_key"})
        f.f["activations/clean/pattern"] = f.rng.random((6, 3, 2, 39, 39)).astype("f4")
    out = report(root / "many", root / "many.h5")
    for name, panels in (("0-0_patch_z_denoise_each-layer-position", 1), ("0-0_patch_z_denoise_each-head-position", 1),
                         ("0-1_patch_pattern_denoise_each_key-pattern", 6), ("0-patterns", 4)):
        texts = [t for t in ET.parse(out / f"figures/{name}.svg").getroot().iter(f"{SVG}text") if (t.text or "").startswith("\u00b7word")]
        want = [f"\u00b7word{at}" for at in (7, 13, 19, 38)] * panels
        # the x of labels of columns, which stand upright, and the y of those of rows
        for axis, here in (("x", [t for t in texts if t.get("transform")]), ("y", [t for t in texts if not t.get("transform")])):
            bold = [t.text for t in here if t.get("font-weight") == "bold"]
            check(f"{name}: {axis}: tokens that differ", sorted(bold) == sorted(want) if axis == "x" or panels > 1 else not here, bold)
            rooms = {}
            for t in here:  # by panel: labels of rows end beside each other, those of columns begin so
                rooms.setdefault((t.get("y" if axis == "x" else "x"), texts.index(t) // (len(texts) // panels)), []).append(float(t.get(axis)))
            near = [np.diff(sorted(at)).min() for at in rooms.values()]
            check(f"{name}: {axis}: labels apart", all(d >= float(here[0].get("font-size")) for d in near), near)
            check(f"{name}: {axis}: others are there too", len(here) > len(bold) or not here, len(here))
    words = (out / "summary.md").read_text()
    said = [line for line in words.split("\n") if "each_key-pattern`" in line or "0-patterns`" in line]
    check("patterns: what is bold is said", len(said) == 2 and all("the first pair's prompts differ where tokens are bold" in line for line in said), said)


def test_room(root):
    """Patterns have square cells; a large figure stands on the page where there is room, and only there."""
    html = (root / "many/index.html").read_text(encoding="utf-8")
    for name in ("0-1_patch_pattern_denoise_each_key-pattern", "0-patterns"):
        places = [r for r in ET.parse(root / f"many/figures/{name}.svg").getroot().iter(f"{SVG}rect") if r.get("data-cell")]
        sizes = {(r.get("width"), r.get("height")) for r in places}
        check(f"{name}: square cells", len(places) > 6000 and all(abs(float(w) - float(h)) < .02 for w, h in sizes), sizes)
        check(f"{name}: stands on the page", f'id="figure-{name}"' in html and "Too large to stand here" not in html)
    check("its page", len(html) < 5e6, len(html))
    with ResultFile(root / "no-room.h5", pairs=1, layers=2, heads=30000) as f:
        f.sweep()
    html = (report(root / "no-room", root / "no-room.h5") / "index.html").read_text(encoding="utf-8")
    check("no room: said", html.count("Too large to stand here") == 1 and "figure-0-0_patch_z_denoise_all-heads" not in html, html.count("Too large"))
    check("no room: the page stays small", len(html) < 5e6, len(html))


def test_too_large(root):
    """A map that nobody could see is an error, not a figure of gigabytes."""
    with ResultFile(root / "wide.h5", pairs=1, layers=2, heads=600000) as f:
        f.sweep(effects=np.zeros((1, 2, 600000)))
    result = run(root / "wide.h5", "-o", root / "wide", "--formats", "svg")
    check("too large", result.returncode == 2 and "1200000 places" in result.stderr and not (root / "wide").exists(), result.stderr)


def test_partial_and_several(root):
    with ResultFile(root / "partial.h5", complete=0) as f:
        f.sweep()
    out = report(root / "partial", root / "partial.h5")
    html = (out / "index.html").read_text()
    check("partial is said", "partial: not all of the experiment is here" in html and "(partial)" in (out / "summary.md").read_text())
    check("partial: pairs", "not all of the experiment's pairs" in html and "Partial: not all pairs" in html)
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


def one_axis(folder, name, axis, mark):
    """A value stands at one place in the figures of two files."""
    points = []
    for k in range(2):
        for m in ET.parse(folder / f"figures/{k}-{name}.svg").getroot().iter(SVG + mark):
            title = m.findtext(f"{SVG}title")
            if title:
                value = float(title.split(": ")[-1].split(" ")[0])
                at = float(m.get(axis)) + (float(m.get("width")) if mark == "rect" and value > 0 else 0)
                points.append((value, at))
    line = np.polyfit(*np.array(points).T, 1)
    off = [at - np.polyval(line, value) for value, at in points]
    check(f"one axis of two files: {name}", len(points) > 3 and np.abs(off).max() < .2, off)


def test_one_scale(root):
    """The same figure of several files has one scale, and another of a file alone."""
    rng, spreads = np.random.default_rng(4), (1, 3)
    for k, spread in enumerate(spreads):
        with ResultFile(root / f"scale{k}.h5") as f:
            f.sweep(effects=rng.normal(0, spread, (6, 3, 4)))
            f.sweep("patch_mlp_out_denoise_last", ("layer",), attributes={"site": "mlp_out"}, effects=rng.normal(0, spread, (6, 3)))
            group = f.sweep("zero_sets_z_noise_all", (("set", np.arange(2, dtype="i4")),), effects=rng.normal(0, spread, (6, 2)))
            f.sets(group, [("a", "named", "L0H1"), ("b", "named", "L1H2")])
            for side in ("clean", "corrupted"):
                f.f[f"readings/logit_lens/{side}/logit_diff"] = rng.normal(0, spread, (6, 3))
    both, alone = report(root / "scales", root / "scale0.h5", root / "scale1.h5"), report(root / "scale-alone", root / "scale0.h5")
    values = []
    for k in range(2):
        with h5py.File(root / f"scale{k}.h5") as f:
            values.append(f["sweeps/0_patch_z_denoise_all/summary/restoration"][:].ravel())
    most = max(np.abs(v).max() for v in values)
    for k, shown in enumerate(values):
        cells = cells_of(both / f"figures/{k}-0_patch_z_denoise_all-heads.svg")
        far = [max(abs(a - b) for a, b in zip(rgb(cells[i][0]), colour(v / most))) for i, v in enumerate(shown)]
        check(f"one scale of two files: {k}", max(far) <= 1, far)
    cells = cells_of(alone / "figures/0-0_patch_z_denoise_all-heads.svg")
    check("a scale of its own", max(max(abs(a - b) for a, b in zip(rgb(cells[i][0]), colour(v / np.abs(values[0]).max()))) for i, v in enumerate(values[0])) <= 1)
    for name, axis, mark in (("1_patch_mlp_out_denoise_last-layers", "cy", "circle"), ("0_patch_z_denoise_all-pairs", "cy", "circle"),
                             ("2_zero_sets_z_noise_all-sets", "x", "rect"), ("logit-lens", "cy", "circle")):
        one_axis(both, name, axis, mark)


def program(*args):
    result = subprocess.run([PATCHBAY, *map(str, args)], capture_output=True, text=True)
    check(" ".join(map(str, args[:2])), result.returncode == 0, result.stderr)


def test_other_files(root):
    """An evaluation, a swept grid and a comparison, made by the program."""
    config = root / "grid.yaml"
    grid = "grid: {boxes: [3, 4], moves: [1, 2]}\noutput: out.h5\n"
    config.write_text("model: {path: data/boxbench}\ntask: {name: box, prompts: 4}\n" + grid)
    program("eval", config, "-o", root / "eval.h5")
    shutil.copy(root / "eval.h5", root / "half.h5")
    with h5py.File(root / "half.h5", "r+") as f:
        f.attrs["complete"] = 0
    words = (report(root / "half", root / "half.h5") / "summary.md").read_text()
    check("a partial evaluation lacks prompts", "Partial: not all prompts of" in words and "not all of the experiment's prompts" in words
          and "pairs" not in words, words)
    config.write_text("model: {path: data/boxbench}\ntask: {name: box, pairs: 2}\n"
                      "sweep: [{intervention: patch, site: z, positions: last}]\n" + grid)
    program("run", config, "-o", root / "run0.h5")
    program("run", config, "--set", "task.seed=1", "-o", root / "run1.h5")
    program("run", config, "--set", "grid={moves: [1, 2]}", "--set", "task.boxes=3", "-o", root / "row.h5")
    row = report(root / "row", root / "row.h5", more=("--vmax", ".0001234")) / "figures/0-0_patch_z_denoise_last-cells.svg"
    check("a grid of one row: nothing beyond it", not outside(row), outside(row))
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
    config.write_text("model: {path: data/boxbench}\ntask: {name: dfa, mode: strict, prompts: 2}\n"
                      "grid: {states: [3, 4], actions: [2, 3], steps: [2, 3]}\noutput: out.h5\n")
    program("eval", config, "-o", root / "three.h5")
    texts = [t.text for t in ET.parse(report(root / "three", root / "three.h5") / "figures/0-accuracy-curves.svg").getroot().iter(f"{SVG}text")]
    check("accuracy curves: of two axes", texts[-5:] == ["states, actions", "3, 2", "3, 3", "4, 2", "4, 3"], texts)
    with h5py.File(root / "eval.h5") as f:
        values = np.stack([f[f"summary/accuracy{end}"][:].ravel() for end in ("", "_ci_low", "_ci_high")])
    grid = ET.parse(out / "figures/0-accuracy.svg").getroot()
    texts = [t.text for t in grid.iter(f"{SVG}text")]
    want = [t for v, low, high in (100 * values).T for t in (f"{v:.0f}", f"{low:.0f}\u2013{high:.0f}")]
    at = texts.index(want[0])
    check("accuracy: intervals in the cells", texts[at:at + len(want)] == want and "accuracy (%)" in texts, (texts, want))
    said = [[float(x) for x in re.findall(r"[\d.]+", t.split(": ")[1])] for _, t in cells.values()]
    check("accuracy: intervals by hovering", np.allclose(said, 100 * values.T, rtol=5e-3) and cells[1][1].startswith("boxes 3, moves 2: "), cells)
    curves = ET.parse(out / "figures/0-accuracy-curves.svg").getroot()
    dots = [c for c in curves.iter(f"{SVG}circle") if c.find(f"{SVG}title") is not None]
    check("accuracy curves: in percent", np.allclose([float(c.findtext(f"{SVG}title").split()[1]) for c in dots], 100 * accuracy, rtol=5e-4)
          and "accuracy (%)" in [t.text for t in curves.iter(f"{SVG}text")], [c.findtext(f"{SVG}title") for c in dots])
    check("accuracy curves: by name", {"boxes 3", "boxes 4"} <= {t.text for t in curves.iter(f"{SVG}text")})
    check("accuracy curves: beside each other", len({c.get("cx") for c in dots}) == 4, dots)
    lines = [re.findall(r"[\d.-]+", p.get("d")) for p in curves.iter(f"{SVG}path")]
    whiskers = {(x0, float(y0) - float(y1)) for x0, y0, x1, y1 in (line for line in lines if len(line) == 4) if x0 == x1}
    heights = {x: h for x, h in whiskers}
    dots_at = [heights.get(c.get("cx"), 0) for c in dots]
    span = values[2] - values[1]
    check("accuracy curves: whiskers", min(dots_at) > 0 and np.allclose(np.array(dots_at) / dots_at[0], span / span[0], rtol=.01), (dots_at, span))
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
    with h5py.File(root / "cmp.h5", "r+") as f:
        for name in ("gini_right", "gini_ci_low_right", "depth_share_right"):  # else all pairs are right
            f[f"comparison/{name}"][...] = f[f"comparison/{name}"][...] / 2
    shutil.copy(root / "cmp.h5", root / "cmp-flat.h5")
    with h5py.File(root / "cmp-flat.h5", "r+") as f:
        for name in ("depth_share", "depth_share_ci_low", "depth_share_ci_high"):
            f[f"comparison/{name}"][...] = f[f"comparison/{name}"][...] / 3
    one_axis(report(root / "two-cmp", root / "cmp.h5", root / "cmp-flat.h5", more=("--compare",)), "depth", "cy", "circle")
    out = report(root / "cmp", root / "cmp.h5")
    with h5py.File(root / "cmp.h5") as f:
        share = f["comparison/depth_share"][:].ravel()
        files, bins = f["comparison/depth_share"].shape
        with open(out / "tables/0-measures.csv", encoding="utf-8", newline="") as table:
            rows = list(csv.DictReader(table))
        for pairs, end in (("all", ""), ("right", "_right")):
            for name in ("gini", "n_cells", "cells_for_80", "depth_centre"):
                here = [r for r in rows if r["measure"] == name and r["pairs"] == pairs]
                got = [[float(r[k] or "nan") for r in here] for k in ("value", "ci_low", "ci_high")]
                group = f["comparison"]
                want = [group[name + part + end][:] if name + part + end in group else np.full(files, np.nan) for part in ("", "_ci_low", "_ci_high")]
                check(f"csv of measures: {name}{end}", np.array_equal(got, want, equal_nan=True), (got, want))
        check("csv of measures: of the model alone", [r["pairs"] for r in rows if r["measure"] == "right_share"] == ["all"] * files, rows)
        with open(out / "tables/0-depth.csv", encoding="utf-8", newline="") as table:
            rows = list(csv.DictReader(table))
        got = np.array([float(r["share"]) for r in rows if r["pairs"] == "all"]).reshape(files, bins)
        half = np.array([float(r["share"]) for r in rows if r["pairs"] == "right"]).reshape(files, bins)
        check("csv of depth: right pairs", np.array_equal(half, f["comparison/depth_share_right"][:]) and (half != got).any())
        low = [float(r["depth_low"]) for r in rows[:bins]]
        check("csv of depth", np.array_equal(got, f["comparison/depth_share"][:]) and low == list(f["comparison/depth_low"][:])
              and [r["file"] for r in rows[::bins]] == [str(root / f"run{i}.h5") for i in (0, 1)] * 2, rows[:2])
    words = [line for line in (out / "summary.md").read_text().split("\n") if "has a Gini coefficient" in line]
    check("runs of one model are told apart", len(words) == 2 and all(f"run{i}.h5: the effect" in line for i, line in enumerate(words)), words)
    titles = [float(t.text.split(": ")[1].split(" ")[0]) for t in ET.parse(out / "figures/0-depth.svg").getroot().iter(f"{SVG}title") if ": " in t.text]
    check("share by depth", np.allclose(titles, share[~np.isnan(share)], rtol=5e-4), (titles, share))


# ---- what must not work -----------------------------------------------------------------------------------

NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"


def same_figure(a, b):
    """Whether two figures are one but for what another processor's rounding changes: values by some last digits, a p
    by some flips, a colour by a step."""
    parts = [re.split(rf"(#[0-9a-f]{{6}}|p_fwer {NUMBER}|{NUMBER})", text) for text in (a, b)]
    if len(parts[0]) != len(parts[1]) or parts[0][::2] != parts[1][::2]:
        return "other marks or texts"
    for x, y in zip(parts[0][1::2], parts[1][1::2]):
        if x[0] == "#" or y[0] == "#":
            good = x[0] == y[0] and max(abs(p - q) for p, q in zip(rgb(x), rgb(y))) <= 2
        elif x.startswith("p_fwer ") or y.startswith("p_fwer "):
            good = x[:7] == y[:7] and abs(float(x[7:]) - float(y[7:])) <= .05 * float(y[7:])
        else:
            good = abs(float(x) - float(y)) <= 2e-3 * abs(float(y)) + 2e-6
        if not good:
            return f"{x}, not {y}"
    return ""


def test_every_sweep(root):
    """Sweeps of a grid whose prompts have unequal lengths: of each the pairs and the cells of the grid; sweeps without
    heads, without layers, of neurons, of paths have figures too."""
    config = root / "every.yaml"
    config.write_text("model: {path: data/boxbench}\ntask: {name: box, pairs: 2}\nreadings: none\ngrid: {boxes: [3, 4], moves: [1, 2]}\noutput: out.h5\n"
                      "sweep:\n- {intervention: patch, site: z, positions: each, layers: [1]}\n- {intervention: patch, site: embed, positions: each}\n"
                      "- {intervention: zero, site: mlp_post, positions: last, neurons: all, layers: [1]}\n"
                      "- {intervention: path, sender: head, receiver: logits}\n"
                      "- {intervention: scale, site: embed, alpha: [0, 1, 2]}\n")
    program("run", config, "-o", root / "every.h5")
    out = report(root / "every", root / "every.h5")
    names = {p.stem[2:] for p in (out / "figures").glob("*.svg")}
    with h5py.File(root / "every.h5") as f:
        length, longest = f["pairs/length"][:], f["pairs/clean_tokens"].shape[1]
        check("every sweep: lengths differ", len(set(length)) > 1, length)
        for name, group in f["sweeps"].items():
            effect = group["summary/effect"][:]
            best = np.unravel_index(np.nanargmax(np.abs(effect)), effect.shape)
            noise = group.attrs["direction"] == "noise"
            raw = group["logit_diff"][:]
            raw = raw - f["base/clean/logit_diff" if noise else "base/corrupted/logit_diff"][:].reshape(-1, *[1] * (raw.ndim - 1))
            ends = group["summary/effect"].dims[effect.ndim - 1][0].name.endswith("_from_end")
            each = np.array([raw[(i, *best[:-1], best[-1] - (longest - length[i] if ends else 0))] for i in range(len(length))])
            check(f"{name}: pairs make the mean", np.isclose(each.mean(), effect[best], atol=1e-9), (each, effect[best]))
            figure = out / f"figures/0-{name}-pairs.svg"
            said = figure.exists() and [float(c.findtext(f"{SVG}title")) for c in ET.parse(figure).getroot().iter(f"{SVG}circle") if c.find(f"{SVG}title") is not None]
            check(f"{name}: its pairs", said and np.allclose(said, np.sort(each), rtol=5e-4, atol=1e-9), (said, each))
            figure = out / f"figures/0-{name}-cells.svg"
            said = figure.exists() and [float(t.split(": ")[1].split(" ")[0]) for _, t in cells_of(figure).values()]
            check(f"{name}: its cells", said and np.allclose(said, group["cells/effect"][:].reshape(4, -1)[:, np.nanargmax(np.abs(effect))], rtol=5e-4, atol=1e-9), said)
        want = {"0_patch_z_denoise_each-layer-position", "1_patch_embed_denoise_each-position", "2_zero_mlp_post_noise_last-neurons", "4_scale_embed_noise_all-alphas"}
        check("every sweep: maps and charts", want <= names, want - names)
        shown = f["sweeps/1_patch_embed_denoise_each/summary/restoration"][:]
        cells = cells_of(out / "figures/0-1_patch_embed_denoise_each-position.svg")
        said = [np.nan if "not app" in cells[i][1] else float(cells[i][1].split(": ")[1].split(" ")[0].rstrip(",")) for i in range(longest)]
        check("a map of positions alone", np.allclose(said, shown, rtol=5e-4, atol=1e-9, equal_nan=True), said)
        group = f["sweeps/2_zero_mlp_post_noise_last/summary"]
        effect, shown = group["effect"][:].ravel(), group["restoration"][:].ravel() - 1
    best = np.argsort(-np.abs(effect), kind="stable")[:20]
    bars = [t.text.split(": ") for t in ET.parse(out / "figures/0-2_zero_mlp_post_noise_last-neurons.svg").getroot().iter(f"{SVG}title")][1:]
    check("the strongest neurons", [b[0] for b in bars] == [f"M1 neuron {i}" for i in best] and
          np.allclose([float(b[1].split(" ")[0]) for b in bars], shown[best], rtol=5e-4, atol=1e-9), bars)
    check("the strongest neurons in words", "the 20 strongest of 640 neurons" in (out / "summary.md").read_text())


def test_readme(root):
    """The README's figure is what `make demo` makes of its first sweep."""
    if SANITIZED:
        skip("README's figure", "the demo takes minutes in a sanitizer build")
        return
    config = Path("configs/box-demo.yaml").read_text()
    sweep = re.search(r"^ +- (\{.*\})$", config, re.M)[1]
    kept = re.search(r"!\[.*\]\((docs/.*-heads\.svg)\)", Path("README.md").read_text())[1]
    program("run", "configs/box-demo.yaml", "--set", f"sweep=[{sweep}]", "--set", "readings=none", "-o", root / "demo.h5")
    made = next((report(root / "demo", root / "demo.h5") / "figures").glob("0-0_*-heads.svg")).read_text()
    there = Path(kept).read_text()
    problem = "" if made == there else same_figure(made, there)
    check(f"{kept} is what the program makes (else: make demo, and copy it from build/demo/report/figures)", not problem, problem)
    check("another figure is seen to be one", same_figure(made.replace("restoration<", "effect<"), there) and same_figure(made.replace("#67001f", "#053061"), there)
          and same_figure(made.replace("L1H6: 0.9", "L1H6: 0.8"), there))


def test_parts(root):
    """A part, and a shard, are no results: what to do instead is said."""
    config = root / "parts.yaml"
    config.write_text("model: {path: data/boxbench}\ntask: {name: box, boxes: 3, moves: 2, pairs: 4}\nengine: {chunk: 2}\nreadings: none\n"
                      "sweep: [{intervention: patch, site: z, positions: last}]\noutput: out.h5\n")
    program("run", config, "-o", root / "whole.h5", "--shard", "0/2")
    shard = root / "whole.shard-0-of-2.h5"
    result = run(shard, "-o", root / "of-a-part", "--formats", "svg")
    check("a shard", result.returncode == 2 and "patchbay merge" in result.stderr, result.stderr)
    # A shard holds its parts as groups, in the layout of part files.
    part = root / "whole.h5.parts/chunk-00000.h5"
    part.parent.mkdir()
    with h5py.File(shard) as f, h5py.File(part, "w") as to:
        group = next(g for g in f["chunks"].values())
        for name, value in group.attrs.items():
            to.attrs[name] = value
        for name in group:
            group.copy(name, to)
    for verb in ("report", "top"):
        result = subprocess.run([PATCHBAY, verb, part, *(("-o", root / "of-a-part") if verb == "report" else ())], capture_output=True, text=True)
        check(f"{verb} of a part", result.returncode == 2 and "a part of a run" in result.stderr and "run again" in result.stderr, result.stderr)
    check("nothing left of them", not (root / "of-a-part").exists())


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
    for column, value in (("p_fwer", -5), ("p_value", 1.5), ("q_bh_right", np.inf), ("p_random_effect", -.1)):
        yield f"{column} of {value}", (lambda f, column=column, value=value: (f[f"{sweep}/summary"].pop(column, None),
                                       f[f"{sweep}/summary"].create_dataset(column, data=np.full((3, 4), float(value)))))
    for column, value in (("n_pairs", -4), ("n_pairs_right", 99)):
        yield f"{column} of {value}", (lambda f, column=column, value=value: f[f"{sweep}/summary/{column}"].__setitem__((1, 1), value))
    for axis, value in (("layer", 2 ** 31 - 1), ("layer", -5), ("head", 4)):
        yield f"{axis} {value}", (lambda f, axis=axis, value=value: f[f"{sweep}/{axis}"].__setitem__(1, value))
    for name in ("answer_token", "foil_token"):
        yield f"{name} below 0", lambda f, name=name: f[f"pairs/{name}"].__setitem__(5, -7)
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
        if re.match(r"layer|head|p_|q_|n_pairs", name):
            good = good and result.returncode == 1 and name.split()[0].replace("_right", "") in result.stderr
        check(f"{name}: refused", good, (result.returncode, result.stderr))
        left = [p.name for p in root.iterdir() if p.name.startswith("damaged") and p != path]
        check(f"{name}: nothing left", not left, left)
        shutil.rmtree(root / "damaged", ignore_errors=True)
    for value in (10 ** 9, -1000):
        with ResultFile(root / "position.h5") as f:
            f.sweep(axes=("layer", ("position", np.array([0, value, 2], "i4"))))
        result = run(root / "position.h5", "-o", root / "damaged", "--formats", "svg")
        check(f"position {value}: refused", result.returncode == 1 and f"position {value:g} of" in result.stderr, (result.returncode, result.stderr))
    with ResultFile(root / "options.h5") as f:
        f.sweep("patch_mlp_post_denoise_all", axes=("layer",), attributes={"site": "mlp_post"})
        f.sweep("patch_mlp_post_denoise_all", axes=("layer",), attributes={"site": "mlp_post", "layers": np.array([1], "i4")})
    words = (report(root / "options", root / "options.h5") / "summary.md").read_text()
    check("an option that one sweep has alone", "(all layers)" in words and "(layers 1)" in words, words[:600])
    with ResultFile(root / "long-name.h5") as f:  # no figure or table takes another's place
        for k in range(2):
            f.sweep("patch_" + "x" * 230)
            f.sweep("patch_z_" + "x" * 220, ("layer", "head", "position"))
    out = report(root / "long-name", root / "long-name.h5")
    ends = sorted(re.sub(r"^(0-\d)_patch.*-(head-position|layer-position|heads|pairs)$", r"\1-\2", p.stem) for p in (out / "figures").glob("*.svg"))
    want = sorted(f"0-{k}-{end}" for k in range(4) for end in ("heads", "pairs", *(("head-position", "layer-position") if k % 2 else ())))
    check("a long name: each figure has its own", ends == want, ends)
    check("a long name: tables", len(list((out / "tables").glob("0-*xxx*.csv"))) == 4)
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
        tests = (test_contrast, test_heat_map, test_png, test_kinds, test_ends_of_paths, test_senders, test_graph,
                 test_titles, test_rounding, test_sets, test_head_pairs, test_numbers, test_hostile_text, test_task,
                 test_fonts, test_odd_sizes, test_from_the_end, test_differing_tokens, test_room, test_too_large,
                 test_partial_and_several, test_one_scale, test_other_files, test_every_sweep, test_readme, test_parts,
                 test_damage, test_folders, test_size_and_speed)
        for test in tests:
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
