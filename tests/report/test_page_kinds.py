#!/usr/bin/env python3
"""The report's page of other files than a sweep of heads, in a real browser as test_page.py: evaluations,
comparisons, sets of heads, neurons, sweeps that do not fit. Numbers shown are the file's.

    tests/report/test_page_kinds.py        environment: as test_page.py
"""
import csv
import shutil
import subprocess

import h5py
import numpy as np

from page_support import PATCHBAY, check, choose, figures, hover, near, place, program, report, run_tests, shown_map
from result_files import ResultFile


def test_sets(browser, path, root):
    """Pairs of heads, named sets, neurons, a row of positions: a map of each."""
    browser.open(path)
    with h5py.File(root / "sets.h5") as f:
        names, effect = f["sets/0_patch_sets_z_denoise_all/name"].asstr()[...], f["sweeps/0_patch_sets_z_denoise_all/summary/effect"][...]
        by_name = dict(zip(names, effect))
        neurons = f["sweeps/1_patch_mlp_post_denoise_last/summary/effect"][...].ravel()
        few, few_effect, sources = (f[p][...] for p in ("sets/2_zero_sets_z_noise_all/name", "sweeps/2_zero_sets_z_noise_all/summary/effect", "sets/2_zero_sets_z_noise_all/source"))
        embed = f["sweeps/3_patch_embed_denoise_each/summary/effect"][...]
        interaction = dict(zip(names, f["sweeps/0_patch_sets_z_denoise_all/summary/interaction"][...]))
    browser.js("patchbay.choose(0, 0)")
    rows, columns, cells, values = shown_map(browser, "pairs")
    wanted = [by_name[a if a == b else min(f"{a}+{b}", f"{b}+{a}", key=lambda t: t not in by_name)] for a in rows for b in columns]
    check("sets: head by head", rows == columns == [f"L{l}H{h}" for l in range(5) for h in range(8)] and np.array_equal(values, wanted), (rows, values[:5], wanted[:5]))
    check("sets: hover names both", hover(browser, cells[1])[0] == "L0H0+L0H1", hover(browser, cells[1]))
    choose(browser, "controls", "metric", "interaction")
    values = browser.js("[...patchbay.maps[0].layout.cells].map((c) => Number.isNaN(patchbay.maps[0].source.value(c)) ? 'nan' : patchbay.maps[0].source.value(c))")
    wanted = [np.nan if a == b else interaction[min(f"{a}+{b}", f"{b}+{a}", key=lambda t: t not in by_name)] for a in rows for b in columns]
    check("sets: interaction, none of single heads", np.array_equal(np.array(values, float), wanted, equal_nan=True))
    browser.js("patchbay.choose(0, 1)")
    rows, columns, cells, values = shown_map(browser, "neurons")
    check("neurons: a place for each", rows == [str(64 * i) for i in range(10)] and len(columns) == 64 and cells == list(range(640)) and np.array_equal(values, neurons), (rows, len(columns)))
    browser.js("patchbay.choose(0, 2)")
    rows, _, _, values = shown_map(browser, "sets")
    order = sorted((i for i in range(len(few)) if sources[i] != b"random"), key=lambda i: -abs(few_effect[i]))
    check("sets: named ones, the strongest first", rows == [few[i].decode() for i in order] and values == [few_effect[i] for i in order], (rows, values))
    browser.js("patchbay.choose(0, 3)")
    rows, _, _, values = shown_map(browser, "row")
    check("a row of positions", rows == [""] and np.array_equal(np.array(values, float), embed, equal_nan=True), values)
    rows, _, cells, values = shown_map(browser, "strongest")
    order = sorted((i for i in range(len(embed)) if not np.isnan(embed[i])), key=lambda i: -abs(embed[i]))[:40]
    check("the strongest cells", cells == order, (cells, order))
    for sweep, name in ((1, "1_patch_mlp_post_denoise_last"), (3, "3_patch_embed_denoise_each")):
        browser.js(f"patchbay.choose(0, {sweep})")
        with open(path.parent / f"tables/0-{name}.csv", encoding="utf-8", newline="") as table:
            labels = {r["cell"]: r["label"] for r in csv.DictReader(table)}
        got = browser.js("[...document.querySelectorAll('#cells tbody tr')].map((r) => [r.dataset.cell, r.children[1].textContent.replace('\u2212', '-')])")
        check(f"labels of {name}: those of the tables", len(got) >= 20 and all(labels[c] == t for c, t in got), (got[:3], [labels.get(c) for c, _ in got[:3]]))
    browser.js("patchbay.choose(0, 0)")
    wide = browser.js("[document.querySelector('#controls select[name=metric]').closest('label').getBoundingClientRect().width, document.getElementById('controls').getBoundingClientRect().width]")
    check("controls: the menu of numbers leaves room", wide[0] < .3 * wide[1], wide)
    check("sets: no errors", not browser.errors(), browser.errors())


def test_controls(browser, path, root):
    """Random sets are what others are compared with: the page opens on none, and its scale is of none."""
    browser.open(path)
    with h5py.File(root / "controls.h5") as f:
        effect, back = (f[f"sweeps/0_zero_sets_z_noise_all/summary/{n}"][...] for n in ("effect", "restoration"))
    check("controls: a random set is the strongest", np.abs(effect).argmax() >= 2, effect)
    check("controls: opens on the strongest named set, which is on the map", browser.js("[patchbay.state.cell, patchbay.maps[0].chosen()]") == [1, 0], browser.js("[patchbay.state.cell, patchbay.maps[0].chosen()]"))
    scale = browser.js("patchbay.maps[0].source.high")
    check("controls: the scale is of the named sets", near(scale, np.abs(back[:2] - 1).max()), (scale, back))
    rows = lambda: browser.js("[...document.querySelectorAll('#cells tbody tr')].map((r) => r.children[1].textContent)")
    check("controls: not in the table", rows() == ["movers", "others"] and "2 of 5 cells, without the random sets" in browser.js("document.getElementById('count').textContent"), rows())
    heads = browser.js("[...document.querySelectorAll('#cells th')].map((h) => h.textContent)")
    place_of = next((i for i, h in enumerate(heads) if h.startswith("p_random")), 1)
    got = browser.js(f"[...document.querySelectorAll('#cells tbody tr')].map((r) => r.children[{place_of}].textContent)")
    check("controls: p among random sets in the table", got == ["0.25", "0.75"], got)
    check("controls: no random set among the strongest cells", shown_map(browser, "strongest")[0] == ["movers", "others"], shown_map(browser, "strongest")[0])
    choose(browser, "controls", "view", "sets")
    check("controls: framed by p_fwer alone", browser.js("patchbay.maps[0].source.outlined(1)") is True and "p among random sets" in browser.js("document.getElementById('frames')?.textContent ?? ''"))
    lines = hover(browser, 1)
    check("controls: hover says both p", any(t.startswith("p_fwer") for t in lines) and lines[-1] == "p among random sets of its size 0.25", lines)
    check("controls: so does the panel", "p among random sets0.25" in browser.js("document.querySelector('#detail table').textContent"))
    browser.js("document.getElementById('random')?.click()")
    check("controls: in the table where they are asked for", rows()[0] == "r1" and len(rows()) == 5, rows())
    check("controls: no errors", not browser.errors(), browser.errors())


def test_large(browser, path, root):
    """Query x key of 12 heads, 120,000 cells: maps of the strongest at each place, patterns of some heads."""
    browser.open(path)
    with h5py.File(root / "large.h5") as f:
        every = {right: f[f"sweeps/0_patch_pattern_denoise_each_key/summary/effect{right}"][...] for right in ("", "_right")}
    effect = every[""]
    size = np.abs(effect)
    check("large: not as a whole", browser.js("patchbay.maps[0].sweep.index.length") < 40000)
    views = browser.js("[...document.querySelectorAll('#controls select[name=view] option')].map((o) => o.value)")
    check("large: maps", views == ["heads", "pattern", "layers", "positions", "strongest"], views)
    _, _, cells, values = shown_map(browser, "heads")
    wanted = [int(np.ravel_multi_index((l, h, *np.unravel_index(size[l, h].argmax(), (100, 100))), effect.shape)) for l in range(3) for h in range(4)]
    check("large: the strongest of each head", cells == wanted and np.allclose(values, effect.ravel()[wanted], rtol=1e-6), (cells, wanted))
    _, _, cells, values = shown_map(browser, "layers")
    wide = size.transpose(0, 2, 1, 3).reshape(3, 100, -1)
    places = [(l, k // 100, q, k % 100) for l in range(3) for q, k in enumerate(wide[l].argmax(1))]
    check("large: the strongest of each layer and query", cells == [int(np.ravel_multi_index(p, effect.shape)) for p in places])
    shown_map(browser, "heads")
    choose(browser, "controls", "over", "right")
    values = browser.js("[...patchbay.maps[0].layout.cells].map((c) => patchbay.maps[0].source.value(c))")
    check("large: the same over the right pairs", np.allclose(values, every["_right"].ravel()[wanted], rtol=1e-6), values)
    choose(browser, "controls", "over", "all")
    best = np.unravel_index(size.argmax(), effect.shape)
    browser.js(f"patchbay.maps[0].choose({best[0] * 4 + best[1]})")
    _, _, cells, values = shown_map(browser, "pattern")
    check("large: the whole pattern of the strongest head", np.allclose(values, effect[best[:2]].ravel(), rtol=1e-6) and f"L{best[0]}H{best[1]}" in browser.js("patchbay.maps[0].layout.columnTitle"))
    weakest = np.unravel_index(size.max((2, 3)).argmin(), (3, 4))
    browser.js(f"patchbay.state.cell = {wanted[weakest[0] * 4 + weakest[1]]}")
    _, _, cells, values = shown_map(browser, "pattern")
    check("large: of a head that is not here, the strongest one's", f"of L{best[0]}H{best[1]}" in browser.js("patchbay.maps[0].layout.columnTitle") and "nan" not in values)
    rows, _, cells, values = shown_map(browser, "strongest")
    check("large: the strongest cells", cells == list(np.argsort(-size.ravel(), kind="stable")[:40]), cells[:5])
    check("large: the table says what it has", "the 400 strongest" in browser.js("document.getElementById('count').textContent"))
    check("large: no errors", not browser.errors(), browser.errors())


def test_evaluation(browser, path, root):
    """A grid of three axes: each figure of each cell at hover and in the panel, why a cell is not there, keys."""
    browser.open(path)
    browser.size(1280)
    sections = browser.js("['explore', 'top', 'pairs', 'evaluation', 'comparison'].map((i) => getComputedStyle(document.getElementById(i)).display !== 'none')")
    check("evaluation: its sections", sections == [False, False, False, True, False], sections)
    with h5py.File(root / "eval.h5") as f:
        summary = {n: d[...].ravel() for n, d in f["summary"].items() if d.shape == (2, 2, 2) and "_mask" not in n}
        why, available = f["cells/why"].asstr()[...].ravel(), f["cells/available"][...].ravel()
    names = [n for n in summary if not any(w in n for w in ("_ci_", "_stderr", "determined", "joint", "breaks"))]
    offered = browser.js("[...document.querySelectorAll('#evaluation-controls select[name=figure] option')].map((o) => o.value)")
    check("evaluation: figures to choose", sorted(offered) == sorted(names), (offered, names))
    there = [c for c in range(8) if available[c]]
    check("evaluation: some cells are missing", 0 < len(there) < 8 and not summary["breaks_monotonicity"][there[0]] == -1, available)
    for part, suffix in ((0, ""), (1, "_determined"), (2, "_undetermined")):
        choose(browser, "evaluation-controls", "part", part)
        for name in names:
            choose(browser, "evaluation-controls", "figure", name)
            wanted = np.where(summary[f"n_prompts{suffix}"] > 0, summary[name + suffix], np.nan)
            got = browser.js("(() => { const v = Array(8).fill(NaN); for (const m of patchbay.gridMaps) for (const c of m.layout.cells) v[c] = m.source.value(c); return v.map((x) => Number.isNaN(x) ? 'nan' : x); })()")
            check(f"evaluation: map of {name}{suffix}", np.array_equal(np.array(got, float), wanted, equal_nan=True), (got, wanted))
    choose(browser, "evaluation-controls", "part", 0)
    for name, ends in (("accuracy", ("_ci_low", "_ci_high")), ("candidate_accuracy", ("_ci_low", "_ci_high")), ("logprob_answer", ("_stderr",)), ("margin", ("_stderr",)), ("mass", ())):
        choose(browser, "evaluation-controls", "figure", name)
        for cell in range(8):
            lines = hover(browser, cell, cell % 2, "gridMaps")
            i, j, k = np.unravel_index(cell, (2, 2, 2))
            check(f"evaluation: hover {cell}: label", lines[0].startswith(f"states {3 + i}, steps {2 + 2 * j}, edges {(4, 40)[k]}"), lines)
            if not available[cell]:
                check(f"evaluation: hover {cell}: why", len(lines) == 1 and why[cell] in lines[0] and len(why[cell]) > 10, lines)
                continue
            got = figures(lines[1].replace("\u00b1", " "))
            check(f"evaluation: hover {cell}: {name}", len(got) == 1 + len(ends) and all(near(g, summary[name + e][cell]) for g, e in zip(got, ("", *ends))), lines)
            check(f"evaluation: hover {cell}: n", lines[2] == f"{summary['n_prompts'][cell]} prompts", lines)
            for title, base in (("chance", "chance"), ("by the action alone", "last_of_action"), ("by the most frequent state", "most_frequent")):
                line = [t for t in lines if t.startswith(title)]
                check(f"evaluation: hover {cell}: {base}", len(line) == 1 and near(figures(line[0])[0], summary[base][cell]), lines)
    browser.click(*place(browser, there[-1], there[-1] % 2, "gridMaps"))
    table = browser.js("[...document.querySelectorAll('#evaluation-detail tbody tr')].map((r) => [r.dataset.figure, ...[...r.querySelectorAll('td')].map((d) => d.textContent)])")
    for name, *texts in table:
        for text, suffix in zip(texts, ("", "_determined", "_undetermined", "_joint")):
            wanted = summary[name + suffix][there[-1]]
            check(f"evaluation: panel {name}{suffix}", text == "\u2013" if np.isnan(wanted) else near(figures(text)[0], wanted), (text, wanted))
    check("evaluation: a line for each figure", sorted(r[0] for r in table) == sorted(names), table)
    missing = next(c for c in range(8) if not available[c])
    browser.click(*place(browser, missing, missing % 2, "gridMaps"))
    check("evaluation: the panel says why", why[missing] in browser.js("document.getElementById('evaluation-detail').textContent"))
    browser.js("patchbay.gridMaps[0].canvas.focus()")
    browser.js("patchbay.gridMaps[0].choose(0)")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        browser.key(key)
    said = browser.js("document.getElementById('evaluation-said').textContent")
    check("evaluation: arrows say the cell", said.startswith("states 4, steps 4, edges 4"), said)
    browser.key("Enter")
    check("evaluation: Enter chooses", browser.js("document.getElementById('evaluation-chosen').textContent") == "states 4, steps 4, edges 4")
    choose(browser, "evaluation-controls", "view", 2)
    layout = browser.js("patchbay.gridMaps.map((m) => [m.layout.rowTitle, m.layout.columnTitle, [...m.layout.cells]])")
    check("evaluation: other axes", layout == [["steps", "edges", [0, 1, 2, 3]], ["steps", "edges", [4, 5, 6, 7]]], layout)
    check("evaluation: no errors", not browser.errors(), browser.errors())


def test_reachable(browser, path, root):
    """An adventure: the same by reachable states."""
    browser.open(path)
    with h5py.File(root / "adventure.h5") as f:
        accuracy, bins = f["by_reachable/accuracy"][...].ravel(), f["reachable"][...]
    choose(browser, "evaluation-controls", "at", 1)
    got = browser.js("(() => { const v = []; for (const c of patchbay.gridMaps[0].layout.cells) v.push(patchbay.gridMaps[0].source.value(c)); return [v.map((x) => Number.isNaN(x) ? 'nan' : x), patchbay.gridMaps[0].layout.rows]; })()")
    check("reachable: accuracy", np.array_equal(np.array(got[0], float), accuracy, equal_nan=True), (got, accuracy))
    check("reachable: bins", [float(x) for x in got[1]] == list(bins), (got, bins))
    check("reachable: no errors", not browser.errors(), browser.errors())


def test_comparison(browser, path, root):
    """Curves by hover, click and keys; both tables, sorted; over all and over the right pairs."""
    browser.open(path)
    browser.size(1280)
    with h5py.File(root / "compared.h5") as f:
        group = f["comparison"]
        data = {n: d.asstr()[...] if h5py.check_string_dtype(d.dtype) else d[...] for n, d in group.items()}
    data["clean_accuracy_right"] = data["clean_accuracy"]
    n, bins = data["depth_share"].shape
    names = [f"run{i}.h5" for i in range(n)]
    badge = browser.js("document.querySelector('a.badge').textContent")
    whole = report(root / "whole", root / "whole.h5").read_text()
    check("comparison: its badge says no more than its checks", badge == "\u2717 not complete, or not what was written" and
          "\u2713 complete, with the checksums that were written</a>" in whole and "own checks" not in whole.split("</header>")[0], badge)
    for over, suffix in (("all", ""), ("right", "_right")):
        choose(browser, "comparison-controls", "over", over)
        share, low, high = (data[f"depth_share{e}{suffix}"] for e in ("", "_ci_low", "_ci_high"))
        points = browser.js("[...document.querySelectorAll('#comparison-chart circle[data-point]')].map((c) => c.dataset.point)")
        check(f"comparison over {over}: a point a bin", sorted(points) == sorted(f"{i}.{b}" for i in range(n) for b in range(bins) if not np.isnan(share[i, b])), points)
        for i, b in ((0, 2), (1, 3), (n - 1, bins - 1)):
            browser.js("document.getElementById('comparison-chart').scrollIntoView({block: 'center'})")
            x, y = browser.js(f"(() => {{ const b = document.querySelector('#comparison-chart circle[data-point=\"{i}.{b}\"]').getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; }})()")
            browser.mouse("mouseMoved", x, y)
            lines = browser.js("document.getElementById('tip').textContent").split("\n")
            got = figures(lines[2])
            check(f"comparison over {over}: hover {i}.{b}", lines[0] == names[i] and near(figures(lines[1])[0] + 1, data["depth_low"][b] + 1) and
                  all(near(g + 1, w + 1) for g, w in zip(got, (share[i, b], low[i, b], high[i, b]))), (lines, share[i, b]))
        for key in ("gini", "top_5_share", "cells_for_80", "effect_total", "n_pairs", "clean_accuracy"):
            browser.js(f"document.querySelector('#models [data-sort={key}]').click()")
            rows = browser.js("[...document.querySelectorAll('#models tbody tr')].map((r) => [Number(r.dataset.model), ...[...r.children].map((d) => d.textContent)])")
            place_of = browser.js(f"[...document.querySelectorAll('#models th')].findIndex((h) => h.querySelector('[data-sort={key}]'))")
            values = data.get(key + suffix, data[key])
            check(f"comparison over {over}: sorted by {key}", [r[0] for r in rows] == sorted(range(n), key=lambda i: -values[i]), (rows, values))
            for row in rows:
                wanted = [values[row[0]]] + ([data[f"{key}_ci_low{suffix}"][row[0]], data[f"{key}_ci_high{suffix}"][row[0]]] if f"{key}_ci_low" in data else [])
                got = figures(row[1 + place_of])
                check(f"comparison over {over}: {key} of {row[2]}", row[2] == names[row[0]] and len(got) == len(wanted) and all(map(near, got, wanted)), (row, wanted))
        strong = browser.js("[...document.querySelectorAll('#strong tbody tr')].map((r) => [...r.children].map((d) => d.textContent))")
        effects = data[f"top_effect{suffix}"]
        order = sorted(((i, k) for i in range(n) for k in range(effects.shape[1]) if not np.isnan(effects[i, k])), key=lambda t: -abs(effects[t]))
        wanted = [[str(q + 1), data[f"top_label{suffix}"][t], names[t[0]], str(t[1] + 1)] for q, t in enumerate(order)]
        check(f"comparison over {over}: strongest cells", [r[:4] for r in strong] == wanted and
              all(near(figures(r[5])[0], effects[t]) for r, t in zip(strong, order)), strong[:3])
    choose(browser, "comparison-controls", "over", "all")
    browser.js("document.querySelector('[data-legend=\"1\"]').click()")
    left = browser.js("[...new Set([...document.querySelectorAll('#comparison-chart [data-curve]')].map((c) => c.dataset.curve))]")
    check("comparison: a curve goes", left == [str(i) for i in range(n) if i != 1], left)
    browser.js("document.querySelector('[data-legend=\"1\"]').click(); document.querySelector('#comparison-chart svg').focus()")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        browser.key(key)
    said = browser.js("document.getElementById('comparison-said').textContent")
    check("comparison: arrows say the point", said.startswith(f"{names[1]}; depth 0.1 to 0.2") and near(figures(said.split("effect ")[1])[0] + 1, data["depth_share"][1, 1] + 1), said)
    browser.key("Enter")
    check("comparison: Enter chooses", browser.js("document.querySelector('#models tr.on').dataset.model") == "1" and
          set(browser.js("[...document.querySelectorAll('#strong tbody tr')].map((r) => r.children[2].textContent)")) == {names[1]})
    browser.js("document.querySelector('#models tr.on button').click()")
    check("comparison: choosing again lets go", browser.js("patchbay.compared.model") == -1)
    check("comparison: no errors", not browser.errors(), browser.errors())


def make_files(root):
    """Files of the program's own making, and a large one."""
    program(root, "eval", "eval", "task: {name: dfa, prompts: 6}\ngrid: {states: [3, 4], steps: [2, 4], edges: [4, 40]}\n")
    program(root, "run", "sets", "task: {name: box, pairs: 3, boxes: 3, moves: 1}\nreadings: none\nsave: [pattern]\nsweep:\n"
            "  - {sets: {pairs: all}}\n  - {intervention: patch, site: mlp_post, layers: [1], neurons: all, positions: last}\n"
            "  - {intervention: zero, site: z, sets: {one: [L0H1], two: [L0H1, L1H6], random: {count: 3, seed: 0, size: 2}}}\n"
            "  - {intervention: patch, site: embed, positions: each}\n")
    for seed in range(3):
        program(root, "run", f"run{seed}", f"task: {{name: box, pairs: {4 + seed}, boxes: 3, moves: 1, seed: {seed}}}\nreadings: none\nsweep: [{{intervention: patch, site: z, positions: last}}]\n")
    result = subprocess.run([PATCHBAY, "compare", *(root / f"run{i}.h5" for i in range(3)), "--any-task", "-o", root / "compared.h5"], capture_output=True, text=True)
    check("compare", result.returncode == 0, result.stderr)
    shutil.copy(root / "compared.h5", root / "whole.h5")
    with h5py.File(root / "compared.h5", "r+") as f:
        for name, data in f["comparison"].items():  # the model is right about all pairs: other numbers over these
            if name.endswith("_right") and data.dtype == "f8":
                data[...] *= .75
    program(root, "eval", "adventure", "task: {name: adventure, prompts: 10, objects: 2}\ngrid: {rooms: [3, 6], containers: [1, 2], steps: [2, 6]}\n")
    with ResultFile(root / "many.h5", pairs=3, layers=30, heads=300) as f:
        f.sweep()
    with ResultFile(root / "controls.h5") as f:
        effects = np.array([-.4, -2, -1, -5, -.5]) + f.rng.normal(0, .05, (6, 5))
        group = f.sweep("zero_sets_z_noise_all", (("set", np.arange(5, dtype="i4")),), effects=effects)
        for name, values in (("random_mean", [-2.2, -2.2]), ("random_low", [-5, -5]), ("random_high", [-.5, -.5]), ("p_random_effect", [.75, .25])):
            group["summary"][name] = np.array([*values, np.nan, np.nan, np.nan])
        f.sets(group, [("others", "named", "L0H2"), ("movers", "named", "L0H1"), *((f"r{i}", "random", f"L2H{i}") for i in range(3))])
    with ResultFile(root / "large.h5", pairs=2, positions=100, roles=None) as f:
        f.sweep("patch_pattern_denoise_each_key", ("layer", "head", "query_position", "key_position"), attributes={"site": "pattern", "positions": "each_key"})


def test_many(browser, path, root):
    """9,000 cells, which all fit as float32: over all and over the right pairs."""
    browser.open(path)
    with h5py.File(root / "many.h5") as f:
        effect = {over: f[f"sweeps/0_patch_z_denoise_all/summary/effect{suffix}"][...].ravel() for over, suffix in (("all", ""), ("right", "_right"))}
    for over, wanted in effect.items():
        choose(browser, "controls", "over", over)
        _, _, cells, values = shown_map(browser, "heads")
        check(f"many: over {over}", cells == list(range(9000)) and np.allclose(values, wanted, rtol=1e-6), values[:3])
    check("many: no errors", not browser.errors(), browser.errors())


def test_mixed(browser, path):
    """A run, two evaluations and a comparison on one page."""
    browser.open(path)
    sections = browser.js("['explore', 'top', 'pairs', 'evaluation', 'comparison'].map((i) => getComputedStyle(document.getElementById(i)).display !== 'none' && getComputedStyle(document.querySelector(`nav a[href='#${i}']`)).display !== 'none')")
    check("mixed: all sections and their links", sections == [True] * 5, sections)
    grids = browser.js("[...document.querySelectorAll('#evaluation-controls select[name=at] option')].map((o) => o.textContent)")
    check("mixed: grids by file", grids == ["eval: task sizes", "adventure: task sizes", "adventure: reachable states"], grids)
    choose(browser, "evaluation-controls", "at", 1)
    check("mixed: the other file's grid", browser.js("patchbay.gridMaps[0].layout.rowTitle") == "rooms", browser.js("patchbay.gridMaps[0].layout.rowTitle"))
    browser.size(400, dark=True)
    check("mixed: one of each kind is drawn", browser.js("patchbay.maps.length && patchbay.gridMaps.length && document.querySelectorAll('#comparison-chart svg').length") == 1)
    browser.size(1280)
    check("mixed: no errors", not browser.errors(), browser.errors())


def tests(browser, pages, root):
    pages["mixed"] = report(root / "mixed", *(root / f"{n}.h5" for n in ("sets", "eval", "adventure", "compared")), more=("--compare",))
    test_mixed(browser, pages["mixed"])
    test_evaluation(browser, pages["eval"], root)
    test_reachable(browser, pages["adventure"], root)
    test_comparison(browser, pages["compared"], root)
    test_sets(browser, pages["sets"], root)
    test_controls(browser, pages["controls"], root)
    test_large(browser, pages["large"], root)
    test_many(browser, pages["many"], root)


if __name__ == "__main__":
    run_tests(make_files, ("eval", "adventure", "compared", "sets", "controls", "large", "many"), tests)
