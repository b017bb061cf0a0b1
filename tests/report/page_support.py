"""What the tests of the report's page share: making reports, the page's maps and forms in the browser."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from browser import Browser, find_browser

PATCHBAY = os.environ.get("PATCHBAY", "build/release/patchbay")
PICTURES = os.environ.get("PB_SCREENSHOTS")
passed = failed = 0


def check(name, good, detail=""):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print(f"FAILED {name}: {detail}", flush=True)


def report(folder, *files, more=()):
    result = subprocess.run([PATCHBAY, "report", *map(str, files), "-o", str(folder), "--formats", "svg", *more],
                            capture_output=True, text=True)
    check(f"{folder.name}: made", result.returncode == 0, result.stderr)
    return folder / "index.html"


def place(browser, cell, which=0, maps="maps"):
    """Client coordinates of a cell on a map, scrolled into view."""
    return browser.js(f"""(() => {{ const m = patchbay.{maps}[{which}], i = m.layout.cells.indexOf({cell});
        m.canvas.scrollIntoView({{block: 'center'}}); const [x, y] = m.corner(i), b = m.canvas.getBoundingClientRect();
        return [b.left + x + m.w / 2, b.top + y + m.h / 2]; }})()""")


def figures(text):
    return [float(w.replace("\u2212", "-")) for w in text.replace("[", " ").replace("]", " ").replace(",", " ").split()
            if w.replace("\u2212", "-").replace(".", "").replace("-", "").replace("e", "").isdigit()]


def near(got, want):
    return abs(got - want) <= 5.1e-4 * abs(want)


def choose(browser, form, name, value):
    browser.js(f"(() => {{ const s = document.querySelector('#{form} select[name={name}]'); s.value = '{value}'; s.dispatchEvent(new Event('change')); }})()")


def hover(browser, cell, which=0, maps="maps"):
    browser.mouse("mouseMoved", *place(browser, cell, which, maps))
    return browser.js("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent").split("\n")


def filtered(browser, words):
    browser.js(f"document.getElementById('filter').value = '{words}'; document.getElementById('filter').dispatchEvent(new Event('input'))")
    rows = browser.js("[...document.querySelectorAll('#cells tbody tr')].map((r) => r.children[1].textContent)")
    return sorted(rows), browser.js("document.getElementById('count').textContent")


def shown_map(browser, view, which=0):
    """Rows, columns, cells and effects of a map."""
    browser.js(f"patchbay.state.other = ''")
    choose(browser, "controls", "metric", "effect")
    choose(browser, "controls", "view", view)
    return browser.js("(() => { const m = patchbay.maps[0], l = m.layout; return [l.rows, l.columns, [...l.cells], [...l.cells].map((c) => c < 0 || Number.isNaN(m.source.value(c)) ? 'nan' : m.source.value(c))]; })()")


def program(root, command, name, config):
    (root / f"{name}.yaml").write_text(f"model: {{path: data/boxbench}}\noutput: {name}.h5\n{config}")
    result = subprocess.run([PATCHBAY, command, root / f"{name}.yaml", "-o", root / f"{name}.h5"], capture_output=True, text=True)
    check(f"{command} {name}", result.returncode == 0, result.stderr)


def look(browser, name):
    """Nothing is wider than the window; pictures, where they are asked for."""
    for width in (1280, 400):
        for dark in (False, True):
            browser.size(width, dark=dark)
            over = browser.js("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            check(f"{name}: {width} px: fits", over <= 0, over)
            paper = browser.js("getComputedStyle(document.body).backgroundColor")
            check(f"{name}: dark is dark", (sum(int(c) for c in paper[4:-1].split(",")) < 200) == dark, paper)
            if PICTURES:
                browser.picture(f"{PICTURES}/{name}-{width}-{'dark' if dark else 'light'}.png")
    browser.size(800, dark=True)
    browser.send("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    check(f"{name}: printed on white", browser.js("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)")
    wide = browser.js("[...document.querySelectorAll('table')].map((t) => t.scrollWidth - t.parentElement.clientWidth)")
    check(f"{name}: tables fit on paper", max(wide) <= 0, wide)
    cut = browser.js("[...document.querySelectorAll('pre')].filter((p) => p.scrollWidth > p.clientWidth).map((p) => p.textContent.slice(0, 80))")
    check(f"{name}: commands are whole on paper", not cut, cut)
    short = browser.js("""[...document.querySelectorAll('table.sorted')].filter((t) => t.rows.length).map((t) => { const rows = [...t.tBodies[0].rows], foot = t.tFoot && getComputedStyle(t.tFoot).display !== 'none' ? t.tFoot.textContent : '';
        return [rows.filter((r) => getComputedStyle(r).display !== 'none').length, rows.length, foot]; })""")
    check(f"{name}: rows that paper leaves out are counted", all(printed == there and not foot or printed == 30 and foot.startswith("The first 30 of ") for printed, there, foot in short), short)
    browser.send("Emulation.setEmulatedMedia", media="")
    browser.size(1280)
    check(f"{name}: the count is for paper alone", browser.js("[...document.querySelectorAll('tfoot')].every((t) => getComputedStyle(t).display === 'none')"))
    check(f"{name}: nothing asked of a network", browser.js("performance.getEntriesByType('resource').length") == 0)
    check(f"{name}: no errors", not browser.errors(), browser.errors())


def run_tests(make_files, names, tests):
    """Reports of the files that make_files(root) leaves, then tests(browser, pages, root): the last line says
    how they went. Skipped without a browser."""
    browser_program = find_browser()
    if not browser_program:
        print("the page: skipped: no chromium (make deps installs it)")
        print("0 passed, 0 failed, 1 skipped")
        sys.exit(0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_files(root)
        pages = {n: report(root / n, root / f"{n}.h5") for n in names}
        browser = Browser(browser_program, root / "browser")
        try:
            browser.size(1280)
            tests(browser, pages, root)
            for n, path in pages.items():
                browser.open(path)
                look(browser, n)
            check("no errors at the end", not browser.errors(), browser.errors())
        finally:
            browser.close()
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)
