#!/usr/bin/env python3
"""The report's page in a real browser (browser.py): no console error, hover and click and keys do what they
should, numbers shown are the file's. Skipped without Chromium. Evaluations, comparisons, sets and large sweeps:
test_page_kinds.py.

    tests/report/test_page.py        PATCHBAY: the binary; CHROMIUM: the browser; PB_SCREENSHOTS: a folder
                                     for pictures of the page at 1280 and 400 pixels, light and dark
"""
import h5py
import numpy as np

from page_support import check, choose, figures, filtered, hover, near, place, report, run_tests
from result_files import ResultFile


def test_hover_and_click(browser, root):
    with h5py.File(root / "page.h5") as f:
        group = f["sweeps/0_patch_z_denoise_all"]
        summary = {name: group[f"summary/{name}"][:].ravel() for name in group["summary"]}
        effects = group["logit_diff"][:].reshape(6, -1) - f["base/corrupted/logit_diff"][:][:, None]
        base = f["base/corrupted/logit_diff"][:].mean()
    for cell in (0, 5, 11):
        browser.mouse("mouseMoved", *place(browser, cell))
        lines = browser.js("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent").split("\n")
        check(f"hover {cell}: label", lines[0] == f"L{cell // 4}H{cell % 4}", lines)
        wanted = [("restoration", "restoration_ci_low", "restoration_ci_high"), ("effect", "ci_low", "ci_high")]
        for line, names in zip(lines[1:], wanted):
            got = figures(line)
            check(f"hover {cell}: {names[0]}", len(got) == 3 and all(near(g, summary[n][cell]) for g, n in zip(got, names)), line)
        check(f"hover {cell}: LD", near(figures(lines[3])[0], base + summary["effect"][cell]), lines)
        check(f"hover {cell}: p", abs(figures(lines[4])[0] - summary["p_fwer"][cell]) <= 6e-3 * summary["p_fwer"][cell], lines)
    browser.mouse("mouseMoved", 2, 2)
    check("the tip goes", browser.js("document.getElementById('tip').hidden"))
    browser.click(*place(browser, 6))
    check("click chooses", browser.js("document.getElementById('chosen').textContent") == "L1H2")
    check("its row is marked", browser.js("document.querySelector('#cells tr.on').dataset.cell") == "6")
    dots = browser.js("[...document.querySelectorAll('#detail [data-pair]')].map((d) => [Number(d.dataset.pair), d.textContent])")
    check("a dot a pair", sorted(d[0] for d in dots) == list(range(6)), dots)
    for pair, title in dots:
        got = float(title.split("effect ")[1].split(",")[0].replace("\u2212", "-"))
        check(f"effect of pair {pair}", near(got, effects[pair, 6]), title)
    check("its positions", browser.js("[...document.querySelectorAll('#detail h3')].some((h) => h.textContent.startsWith('By position'))"))
    colours = browser.js("""(() => { const m = patchbay.maps[0]; return [0, 5, 6].map((c) => { const [x, y] = m.corner(m.layout.cells.indexOf(c));
        return [...m.canvas.getContext('2d').getImageData(x + 4, y + 5, 1, 1).data].slice(0, 3).concat(m.colour(patchbay.shown(m.sweep, 'restoration', c, false))); }); })()""")
    check("pixels of the map", all(max(abs(c[k] - c[k + 3]) for k in range(3)) <= 1 for c in colours), colours)


def test_keys(browser):
    browser.js("patchbay.maps[0].canvas.focus()")
    browser.js("patchbay.state.cell = 0")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        browser.key(key)
    check("arrows say the cell", browser.js("document.getElementById('said').textContent").startswith("L1H1"),
          browser.js("document.getElementById('said').textContent"))
    browser.key("Enter")
    check("Enter chooses", browser.js("document.getElementById('chosen').textContent") == "L1H1")
    dots = browser.js("(() => { patchbay.state.pair = 0; patchbay.maps[0].choose(6); document.querySelector('#detail svg').focus(); return [...document.querySelectorAll('#detail [data-pair]')].map((d) => [Number(d.dataset.pair), d.textContent]); })()")
    browser.key("ArrowRight")
    first = [d[0] for d in dots].index(0)
    check("dots: an arrow says the chosen pair", browser.js("document.getElementById('tip').textContent") == dots[first][1], dots)
    browser.key("ArrowRight" if first == 0 else "ArrowDown")
    to = min(first + 1, 5)
    check("dots: arrows say the next", browser.js("document.getElementById('said').textContent") == dots[to][1])
    browser.key("Enter")
    check("dots: Enter chooses, and the chart keeps the keyboard", browser.js("[patchbay.state.pair, document.getElementById('pair-number').value, document.activeElement.id]") == [dots[to][0], str(dots[to][0]), "dots"])
    browser.key("Escape")
    browser.js("patchbay.state.pair = 0; patchbay.maps[0].canvas.focus()")
    browser.key("ArrowRight")
    browser.key("Escape")
    check("Escape ends", browser.js("document.getElementById('tip').hidden"))
    check("all can be reached by Tab", browser.js("[...document.querySelectorAll('select, input, canvas, #cells button')].every((e) => e.tabIndex >= 0)"))


def test_controls(browser, root):
    with h5py.File(root / "page.h5") as f:
        right = f["sweeps/0_patch_z_denoise_all/summary/effect_right"][:].ravel()
        noise = f["sweeps/1_patch_z_noise_all/summary/restoration"][:].ravel()
    browser.js("document.querySelector('#controls select[name=over]').value = 'right'; document.querySelector('#controls select[name=over]').dispatchEvent(new Event('change'))")
    first = browser.js("(() => { const r = document.querySelector('#cells tbody tr'); return [Number(r.dataset.cell), r.children[2].textContent]; })()")
    best = int(np.abs(right).argmax())
    check("over the right pairs", first[0] == best and near(float(first[1].replace("\u2212", "-")), right[best]), (first, best))
    browser.js("document.querySelector('#controls select[name=over]').value = 'all'; document.querySelector('#controls select[name=over]').dispatchEvent(new Event('change'))")
    browser.js("document.getElementById('flip').click()")
    check("denoise to noise", browser.js("patchbay.maps[0].sweep.name") == "1_patch_z_noise_all")
    best = browser.js("Number(document.querySelector('#cells tbody tr').dataset.cell)")
    shown = browser.js("document.querySelector('#cells tbody tr').children[5].textContent")
    check("noise shows restoration - 1", near(float(shown.replace("\u2212", "-")), noise[best] - 1), (shown, noise[best] - 1))
    browser.js("patchbay.choose(0, 0)")
    browser.js("document.querySelector('[data-sort=effect]').click(); document.querySelector('[data-sort=effect]').click()")
    order = browser.js("[...document.querySelectorAll('#cells tbody tr')].map((r) => Number(r.dataset.cell))")
    with h5py.File(root / "page.h5") as f:
        effect = f["sweeps/0_patch_z_denoise_all/summary/effect"][:].ravel()
    check("sorted by effect", order == sorted(range(12), key=lambda c: effect[c]) or order == sorted(range(12), key=lambda c: -effect[c]), order)
    browser.js("document.getElementById('filter').value = 'l1 effect>-10'; document.getElementById('filter').dispatchEvent(new Event('input'))")
    rows = browser.js("[...document.querySelectorAll('#cells tbody tr')].map((r) => r.children[1].textContent)")
    check("filtered", sorted(rows) == [f"L1H{h}" for h in range(4)], rows)
    browser.js("document.getElementById('filter').value = ''; document.getElementById('filter').dispatchEvent(new Event('input'))")
    browser.js("document.querySelector('#controls select[name=other]').value = '0.1'; document.querySelector('#controls select[name=other]').dispatchEvent(new Event('change'))")
    scales = browser.js("patchbay.maps.map((m) => m.scale)")
    check("side by side, one scale", len(scales) == 2 and scales[0] == scales[1], scales)
    for view in ("layers", "positions"):
        browser.js(f"patchbay.choose(0, 2); patchbay.state.other = ''; (() => {{ const s = document.querySelector('#controls select[name=view]'); s.value = '{view}'; s.dispatchEvent(new Event('change')); }})()")
        check(f"map {view}", browser.js("patchbay.maps.length") == 1 and browser.js("patchbay.maps[0].layout.columns[3]") == "\u00b7word3")


def test_filters(browser):
    browser.js("patchbay.choose(0, 0)")
    check("commas part words", filtered(browser, "L1, effect>-10")[0] == [f"L1H{h}" for h in range(4)])
    check("headings are names", len(filtered(browser, "p<2 low>-99 pairs>1 L=1")[0]) == 4)
    rows, count = filtered(browser, "p<2 nonsense>1")
    check("a name that there is not is told", not rows and "not a number of this table: nonsense>1" in count, count)
    browser.js("patchbay.choose(0, 1)")
    check("noise filters restoration - 1, as it is shown", "L0H0" in filtered(browser, "restoration<-0.2")[0])
    filtered(browser, "")


def test_parts(browser, path):
    """Sweeps of some layers and heads: axes that do not begin at 0, beside one of all."""
    browser.open(path)
    browser.js("patchbay.choose(0, 1)")
    lone = browser.js("[patchbay.maps[0].layout.rows, patchbay.maps[0].layout.columns]")
    check("a map of one layer and head", lone == [["1"], ["2"]], lone)
    browser.js("patchbay.choose(0, 2)")
    rows = browser.js("[patchbay.maps[0].layout.rows, patchbay.maps[0].layout.columns]")
    check("a map of some", rows == [["0", "12"], ["0", "11", "15"]], rows)
    browser.js("patchbay.choose(0, 0); patchbay.state.other = '0.2'; document.querySelector('#controls select[name=other]').value = '0.2'; document.querySelector('#controls select[name=other]').dispatchEvent(new Event('change'))")
    browser.js("patchbay.maps[0].choose(12 * 16 + 11)")
    check("beside it the cell of the same name is marked", browser.js("patchbay.maps[1].chosen()") == 4,
          browser.js("patchbay.maps[1].chosen()"))
    browser.js("patchbay.maps[1].choose(5)")
    now = browser.js("[patchbay.state.sweep, patchbay.state.other, document.querySelector('#controls select[name=sweep]').value, patchbay.maps.map((m) => m.chosen())]")
    check("choosing in the other map makes it the first", now == [2, "0.0", "0.2", [5, 12 * 16 + 15]], now)
    check("no errors with parts", not browser.errors(), browser.errors())


def mean(raw, rows):
    """Over pairs, without what does not apply."""
    return np.nanmean(raw[rows].astype("f8"), 0).ravel()


def test_metrics(browser, path, root):
    """Means of other metrics: maps, hover, the panel, the table; of all and of the right pairs; from the end."""
    browser.open(path)
    with h5py.File(root / "metrics.h5") as f:
        group, right = f["sweeps/0_patch_z_denoise_all"], f["pairs/right"][:] == 1
        every = np.ones(6, bool)
        means = {(n, over): mean(group[n][:], rows) for n in METRICS if n != "candidate_logits" for over, rows in (("all", every), ("right", right))}
        for k in range(3):
            for over, rows in (("all", every), ("right", right)):
                means[f"candidate_{k}", over] = mean(group["candidate_logits"][..., k], rows)
        stored = {n: group[f"summary/{n}_mean"][:].ravel() for n in METRICS if n != "candidate_logits"}
        base = {(n, side, over): f[f"base/{side}/{n}"][:].astype("f8")[rows].mean() for n in ("prob_answer", "prob_foil", "rank_answer")
                for side in ("clean", "corrupted") for over, rows in (("all", every), ("right", right))}
        base.update({("prob_diff", *k[1:]): base["prob_answer", *k[1:]] - base["prob_foil", *k[1:]] for k in list(base)})
    names = [n for n, over in means if over == "all"]
    offered = browser.js("[...document.querySelectorAll('#controls select[name=metric] option')].map((o) => o.value)")
    check("metrics: offered", set(names) <= set(offered), offered)
    for name in names:
        for over in ("all", "right"):
            choose(browser, "controls", "metric", name)
            choose(browser, "controls", "over", over)
            values = browser.js(f"Array.from({{length: 12}}, (_, c) => patchbay.maps[0].source.value(c))")
            check(f"metrics: {name} over {over}", np.allclose(values, means[name, over], rtol=1e-12), (values, means[name, over]))
            if over == "all" and name in stored:
                check(f"metrics: {name} is the file's", np.array_equal(values, stored[name]), values)
            line = next((t for t in hover(browser, 6) if "(without" in t or (name, "clean", over) not in base and t.startswith(name[:2])), "")
            if (name, "clean", over) in base:
                got, wanted = figures(line.split(": ", 1)[1].replace(")", " ")), [means[name, over][6], base[name, "clean", over], base[name, "corrupted", over]]
                check(f"metrics: hover {name} over {over}", len(got) == 3 and all(map(near, got, wanted)), (line, wanted))
            else:
                said = " ".join(hover(browser, 6))
                check(f"metrics: hover {name} over {over}", any(near(x, means[name, over][6]) for x in figures(said)), said)
    check("metrics: the scale holds all", browser.js("[patchbay.maps[0].source.low, patchbay.maps[0].source.high]") == [0, max(means["candidate_2", "right"])])
    title = browser.js("[...document.querySelectorAll('#controls select[name=metric] option')].slice(-3).map((o) => o.textContent)")
    check("metrics: candidates by token where pairs share it", "word2" in title[0] and "word3" in title[1] and "word" not in title[2], title)
    browser.click(*place(browser, 6))
    rows = {r[0]: r[1:] for r in browser.js("[...document.querySelectorAll('#others tbody tr')].map((r) => [r.dataset.metric, ...[...r.querySelectorAll('td')].map((d) => d.textContent)])")}
    for name in names:
        wanted = [x for over in ("all", "right") for x in (means[name, over][6], base.get((name, "clean", over)), base.get((name, "corrupted", over)))]
        got = rows.get(name, [])
        check(f"metrics: panel {name}", len(got) == 6 and all((g == "\u2013") if w is None else near(figures(g)[0], w) for g, w in zip(got, wanted)), (got, wanted))
    choose(browser, "controls", "metric", "kl_donor")
    choose(browser, "controls", "over", "all")
    browser.js("document.querySelector('[data-sort=kl_donor]').click()")
    order = browser.js("[...document.querySelectorAll('#cells tbody tr')].map((r) => Number(r.dataset.cell))")
    check("metrics: the table sorts by it", order == sorted(range(12), key=lambda c: -means["kl_donor", "all"][c]), order)
    check("metrics: the filter knows it", len(filtered(browser, "rank_answer>0.5")[0]) == int((means["rank_answer", "all"] > .5).sum()))
    filtered(browser, "")
    browser.js("patchbay.choose(0, 1)")
    with h5py.File(root / "metrics.h5") as f:
        raw, length = f["sweeps/1_patch_z_denoise_each/prob_answer"][:].astype("f8"), f["pairs/length"][:]
        lined = np.full_like(raw, np.nan)
        for i, n in enumerate(length):
            lined[i, ..., 8 - n:] = raw[i, ..., :n]
        wanted = mean(lined, right)
    choose(browser, "controls", "metric", "prob_answer")
    choose(browser, "controls", "over", "right")
    values = browser.js("Array.from({length: 96}, (_, c) => patchbay.maps[0].source.value(c))")
    with h5py.File(root / "metrics.h5") as f:
        effects = f["sweeps/1_patch_z_denoise_each/logit_diff"][:] - f["base/corrupted/logit_diff"][:].reshape(-1, 1, 1, 1)
        for i, n in enumerate(length):
            lined[i] = np.nan
            lined[i, ..., 8 - n:] = effects[i, ..., :n]
    choose(browser, "controls", "over", "all")
    for at in (0, 1, 4, 7):
        browser.js(f"patchbay.maps[0].source.choose({(1 * 4 + 2) * 8 + at})")
        dots = {p: figures(t.split("effect ")[1])[0] for p, t in browser.js("[...document.querySelectorAll('#detail [data-pair]')].map((d) => [Number(d.dataset.pair), d.textContent])")}
        there = [i for i in range(6) if not np.isnan(lined[i, 1, 2, at])]
        check(f"from the end: the effect in each pair at {at - 8}", sorted(dots) == there and all(near(dots[i], lined[i, 1, 2, at]) for i in there), (dots, lined[:, 1, 2, at]))
    check("metrics: from the end, over the right pairs", np.allclose(values, wanted, rtol=1e-12), (values, wanted))
    check("metrics: no errors", not browser.errors(), browser.errors())


def weights(browser, side):
    """(query, key) -> attention, of the chart of a side."""
    cells = browser.js(f"[...document.querySelectorAll('#pattern svg[data-side={side}] rect')].map((r) => [r.dataset.at, r.textContent])")
    return {tuple(map(int, at.split("."))): float(text.rsplit(": ", 1)[1].replace("\u2212", "-")) for at, text in cells}


def test_patterns(browser, pages, root):
    """A head's attention on both prompts of a pair that is chosen; prompts of unequal length."""
    browser.open(pages["metrics"])
    with h5py.File(root / "metrics.h5") as f:
        saved, length = {s: f[f"activations/{s}/pattern"][...] for s in ("clean", "corrupted")}, f["pairs/length"][...]
    for cell in (6, 11):
        browser.click(*place(browser, cell))
        for pair in (0, 1, 5):
            browser.js(f"(() => {{ const n = document.getElementById('pattern-pair'); n.value = {pair}; n.dispatchEvent(new Event('change')); }})()")
            for side in ("clean", "corrupted"):
                got, n = weights(browser, side), length[pair]
                wanted = {(q, k): saved[side][pair, cell // 4, cell % 4, q, k] for q in range(n) for k in range(q + 1)}
                check(f"patterns: {side} of {cell} on pair {pair}", got.keys() == wanted.keys() and all(abs(got[at] - wanted[at]) <= 6e-5 for at in wanted), (len(got), len(wanted)))
    check("patterns: the pair is the one of all sections", browser.js("document.getElementById('pair-number').value") == "5")
    browser.js("document.getElementById('pattern-before').click()")
    check("patterns: the pair before, and the button keeps the focus", browser.js("[patchbay.state.pair, document.activeElement.id]") == [4, "pattern-before"])
    browser.js("(() => { const s = document.getElementById('pattern-side'); s.value = 'difference'; s.dispatchEvent(new Event('change')); })()")
    got, n = weights(browser, "difference"), length[4]
    check("patterns: the difference", len(got) == n * (n + 1) // 2 and all(abs(got[at] - (saved["clean"] - saved["corrupted"])[4, 2, 3][at]) <= 8e-5 for at in got))
    fill = browser.js("(() => { const r = [...document.querySelectorAll('#pattern rect')]; const f = (i) => r[i].getAttribute('fill').match(/\\d+/g).map(Number); return r.map((x, i) => [x.dataset.at, f(i)]); })()")
    good = all((rgb[0] >= rgb[2]) == ((saved["clean"] - saved["corrupted"])[4, 2, 3][tuple(map(int, at.split(".")))] > 0) for at, rgb in fill if abs(got[tuple(map(int, at.split(".")))]) > .02)
    check("patterns: red where clean is larger", good)
    browser.open(pages["page"])
    sides = browser.js("[...document.querySelectorAll('#pattern-side option')].map((o) => o.value)")
    check("patterns: clean alone where the file has no more", sides == ["clean"] and len(weights(browser, "clean")) == 36, sides)
    browser.open(pages["long"])
    check("patterns: told where they do not fit", browser.js("document.getElementById('pattern') === null") and "Not in this page, which has the strongest heads" in browser.js("document.getElementById('detail').textContent"))
    browser.open(pages["parts"])
    check("patterns: nothing of what was not saved", "attention" not in browser.js("document.getElementById('detail').textContent"))
    check("patterns: no errors", not browser.errors(), browser.errors())


def contrast(one, other):
    """Of WCAG 2."""
    light = []
    for rgb in (one, other):
        parts = [v / 255 / 12.92 if v / 255 <= .04045 else ((v / 255 + .055) / 1.055) ** 2.4 for v in rgb]
        light.append(.2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2] + .05)
    return max(light) / min(light)


def test_labels(browser, path):
    """Of labels that have no room for all, that of the token that differs is there, bold: 39 of 78 is no multiple of any step."""
    browser.open(path)
    for what, where in (("by position", "#detail svg[aria-label='by position']"), ("attention", "#pattern svg[data-side=clean]")):
        texts = browser.js(f"[...document.querySelectorAll(\"{where} text\")].map((t) => [t.textContent, t.getAttribute('font-weight')])")
        bold = [t for t, weight in texts if weight == "bold"]
        check(f"labels {what}: the differing token, bold", bold and set(bold) == {"\u00b7w39"}, texts[:12])
        check(f"labels {what}: of others some", 10 < len(texts) - len(bold) < 2 * 60, len(texts))
        check(f"labels {what}: none of its neighbours", not {"\u00b7w38", "\u00b7w40"} & {t for t, _ in texts})
    bars = browser.js("[...document.querySelectorAll(\"#detail svg[aria-label='by position'] rect\")].map((r) => [Number(r.getAttribute('height')), r.textContent])")
    texts = browser.js("[...document.querySelectorAll(\"#detail svg[aria-label='by position'] text\")].map((t) => t.textContent)")
    tallest = max(bars)[1].split(" (")[0]
    kept = browser.js("[...patchbay.labelled(20, 4, Array(20).fill(false), 18)]")
    check("labels by position: the largest before its neighbours", kept[18] and not any(kept[15:18] + kept[19:]) and sum(kept) == 5, kept)
    check("labels by position: the largest bar has its own", tallest in texts, (tallest, texts))
    inks = [(rgb, browser.js(f"patchbay.inkOn({list(rgb)})")) for rgb in ((255, 255, 255), (67, 147, 195), (50, 125, 184), (5, 48, 97), (178, 24, 43), (214, 96, 77), (0, 0, 0))]
    poor = [(rgb, ink) for rgb, ink in inks if contrast(rgb, (0, 0, 0) if ink == "#000" else (255, 255, 255)) < 4.5]
    check("numbers on every colour have contrast", not poor, poor)
    browser.size(400)
    browser.js("patchbay.choose(0, 1)")
    choose(browser, "controls", "view", "layers")
    kept = browser.js("[...(patchbay.maps[0].labelled || [])]")
    check("labels of a map: the differing token", kept and kept[39] and not kept[38] and not kept[40] and 10 < sum(kept) < 60, kept)
    browser.size(1280)
    check("labels: no errors", not browser.errors(), browser.errors())


def test_two_files(browser, pages, root):
    """Two files: the second is beside the first from the start, and follows it; both's numbers of the chosen cell."""
    browser.open(pages["twins"])
    check("two files: side by side from the start", browser.js("[patchbay.state.other, patchbay.maps.length]") == ["1.1", 2], browser.js("[patchbay.state.other, patchbay.maps.length]"))
    with h5py.File(root / "page.h5") as a, h5py.File(root / "again.h5") as b:
        for over, suffix in (("all", ""), ("right", "_right")):
            choose(browser, "controls", "over", over)
            browser.js("patchbay.maps[0].choose(6)")
            rows = {r[0]: r[1:] for r in browser.js("[...document.querySelectorAll('#beside tbody tr')].map((r) => [r.dataset.figure, ...[...r.querySelectorAll('td')].map((d) => d.textContent)])")}
            for name, ends in (("effect", ("ci_low", "ci_high")), ("restoration", ("restoration_ci_low", "restoration_ci_high")), ("n_pairs", ()), ("stderr", ())):
                one, two = ([f[f"{sweep}/summary/{n}{suffix}"][...].ravel()[6] for n in (name, *ends)] for f, sweep in ((a, "sweeps/0_patch_z_denoise_all"), (b, "sweeps/1_patch_z_denoise_all")))
                got = [figures(t) for t in rows.get(name, ["", "", ""])]
                check(f"two files: {name} over {over}", [len(g) for g in got] == [len(one), len(two), 1] and all(map(near, got[0] + got[1], one + two)) and abs(got[2][0] - (one[0] - two[0])) <= 6e-4 * abs(one[0] - two[0]), (rows.get(name), one, two))
    heads = browser.js("[...document.querySelectorAll('#beside thead th')].map((h) => h.textContent)")
    check("two files: by name", heads[1:] == ["page: patch z denoise all", "again: patch z denoise all", "the first less the second"], heads)
    browser.js("patchbay.choose(0, 1)")
    check("two files: the second follows", browser.js("patchbay.state.other") == "1.0", browser.js("patchbay.state.other"))
    browser.js("patchbay.maps[1].choose(5)")
    check("two files: choosing in the second", browser.js("[patchbay.state.file, patchbay.state.sweep, patchbay.state.other, patchbay.maps[1].chosen()]") == [1, 0, "0.1", 5], browser.js("[patchbay.state.file, patchbay.state.sweep, patchbay.state.other]"))
    browser.js("patchbay.choose(0, 2); patchbay.state.other = '1.0'; patchbay.maps[0].source.choose(8)")
    check("two files: a cell that the other has not", "has no such cell" in browser.js("document.getElementById('beside')?.textContent ?? ''"))
    browser.open(pages["lacks"])
    check("two files: a number that both have", browser.js("[patchbay.state.metric, patchbay.state.view, patchbay.maps.length]") == ["effect", "heads", 2], browser.js("[patchbay.state.metric, patchbay.state.view, patchbay.maps.length]"))
    check("two files: no errors", not browser.errors(), browser.errors())


def test_pairs(browser):
    browser.js("const n = document.getElementById('pair-number'); n.value = 2; n.dispatchEvent(new Event('change'))")
    for side in ("clean", "corrupted"):
        marked = browser.js(f"[...document.querySelectorAll('#tokens-{side} .diff')].map((t) => t.textContent)")
        check(f"differing tokens of {side}", marked == ["\u00b7word4" if side == "clean" else "\u00b7word8"], marked)
    check("not a right pair", "not right" in browser.js("document.getElementById('pair').textContent"))


METRICS = ("prob_answer", "prob_foil", "prob_diff", "rank_answer", "kl_donor", "candidate_logits")


def make_files(root):
    with ResultFile(root / "long.h5", pairs=1, layers=2, heads=2, positions=100) as f:
        f.sweep()
        f.f["activations/clean/pattern"] = f.rng.random((1, 2, 2, 100, 100)).astype("f4")
    with ResultFile(root / "labels.h5", pairs=2, layers=2, heads=2, positions=78, words=[f" w{i}" for i in range(79)]) as f:
        f.sweep()
        f.sweep("patch_z_denoise_each", ("layer", "head", "position"))
        f.f["activations/clean/pattern"] = f.rng.random((2, 2, 2, 78, 78)).astype("f4")
    with ResultFile(root / "metrics.h5", equal=False, seed=5) as f:
        f.sweep(metrics=METRICS)
        for side in ("clean", "corrupted"):
            f.f[f"activations/{side}/pattern"] = f.rng.random((6, 3, 4, 8, 8)).astype("f4")
        f.sweep("patch_z_denoise_each", ("layer", "head", ("position_from_end", np.arange(-8, 0, dtype="i4"))), metrics=("prob_answer",))
    with ResultFile(root / "page.h5", attributes={"command": "patchbay run " + " ".join(f"--set sweep.{i}.site=z" for i in range(30))}) as f:
        f.sweep()
        f.sweep("patch_z_noise_all")
        f.sweep("patch_z_denoise_each", ("layer", "head", "position"))
        f.f["readings/head_scores/induction"] = f.rng.random((3, 4))
        f.f["activations/clean/pattern"] = f.rng.random((6, 3, 4, 8, 8)).astype("f4")
    with ResultFile(root / "again.h5", seed=9, equal=False) as f:
        f.sweep("patch_z_noise_all")
        f.sweep()
    with ResultFile(root / "plain.h5", seed=10) as f:  # as of distractors
        group = f.sweep()
        for name, values in group["summary"].items():
            if name.startswith("restoration"):
                values[...] = 0 if "n_pairs" in name else np.nan
    with ResultFile(root / "parts.h5", layers=14, heads=16) as f:
        f.sweep()
        f.sweep("patch_z_denoise_all", (("layer", np.array([1], "i4")), ("head", np.array([2], "i4"))))
        f.sweep("patch_z_denoise_all", (("layer", np.array([0, 12], "i4")), ("head", np.array([0, 11, 15], "i4"))))
    with ResultFile(root / "evil.h5", words=["</script><script>evil = 1</script>", "<img src=x onerror='evil = 1'>", " \u65e5\u672c"] + ["<b>"] * 6,
                    attributes={"title": "<script>evil = 1</script>"}) as f:
        f.sweep(effects=np.where(np.arange(12).reshape(3, 4) == 3, np.nan, f.rng.normal(0, 1, (6, 3, 4))))
        f.sweep("patch_z_denoise_each", ("layer", "head", "position"))
    with ResultFile(root / "xl.h5", pairs=100, layers=48, heads=25, positions=30, seed=1) as f:
        f.sweep()
        paths = f.rng.normal(0, 1, (100, 6, 2, 6, 2))
        f.sweep("path_head_to_q_denoise_freeze_all", tuple((n, np.arange(s, dtype="i4")) for n, s in
                (("sender_layer", 6), ("sender_head", 2), ("receiver_layer", 6), ("receiver_head", 2))), effects=paths,
                attributes={"receiver": "q"})


def tests(browser, pages, root):
    pages["both"] = report(root / "both", root / "page.h5", root / "xl.h5", more=("--compare",))
    pages["twins"] = report(root / "twins", root / "page.h5", root / "again.h5", more=("--compare",))
    pages["lacks"] = report(root / "lacks", root / "page.h5", root / "plain.h5", more=("--compare",))
    test_two_files(browser, pages, root)
    browser.open(pages["page"])
    test_hover_and_click(browser, root)
    test_keys(browser)
    test_controls(browser, root)
    test_pairs(browser)
    test_filters(browser)
    test_parts(browser, pages["parts"])
    test_metrics(browser, pages["metrics"], root)
    test_patterns(browser, pages, root)
    test_labels(browser, pages["labels"])
    browser.open(pages["evil"])
    check("nothing of the file's runs", browser.js("typeof evil") == "undefined")
    browser.open(pages["both"])
    browser.js("patchbay.choose(1, 1)")
    check("all rows are counted below what is printed", browser.js("document.querySelector('#cells tfoot')?.textContent") == "The first 30 of 144 rows: the other 114 are left out on paper.",
          browser.js("document.querySelector('#cells tfoot')?.textContent"))
    check("paths in the browser", browser.js("patchbay.maps[0].layout.rows.length") == 12)


if __name__ == "__main__":
    run_tests(make_files, ("page", "parts", "evil", "xl", "metrics", "long", "labels"), tests)
