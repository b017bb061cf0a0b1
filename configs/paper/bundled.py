#!/usr/bin/env python3
"""Small versions of every config of this folder on the bundled model, and what they gave, as a Markdown table.

    python3 configs/paper/bundled.py [FOLDER]      needs h5py and numpy; about 2 minutes on two free cores
    python3 configs/paper/bundled.py --write       puts the table into README.md

Result files go to FOLDER (build/paper): those that are there already and of the same experiment are
used again. PATCHBAY names the program (build/release/patchbay).
"""
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATCHBAY = os.environ.get("PATCHBAY", str(ROOT / "build/release/patchbay"))
MODEL = "data/boxbench"
BEGIN, END = "<!-- bundled -->", "<!-- /bundled -->"

# What is set besides the model and the output, by config: smaller grids, and fewer pairs.
EVAL = {
    "eval-box": ["task.prompts=100", "grid.boxes=[2, 4, 6]", "grid.moves=[1, 3, 6]"],
    "eval-dfa-paper": ["task.prompts=100", "grid.states=[5, 10]", "grid.steps=[5, 10, 30]",
                       "grid.density=[2, 2.8]"],
    "eval-dfa-strict": ["task.prompts=100", "grid.states=[5, 10]", "grid.steps=[5, 10, 30]",
                        "grid.density=[2]"],
    "eval-fruit": ["task.prompts=100", "grid.people=[2, 3]", "grid.clues=[0, 1, 2]"],
    "eval-adventure": ["task.prompts=100", "task.objects=2", "task.containers=1",
                       "grid.rooms=[2, 4, 6]", "grid.steps=[1, 4, 8]"],
}
RUN = {
    "heads-box": ["task.pairs=50"],
    "heads-dfa-paper": ["task.pairs=4", "grid.steps=[6, 18, 30]"],
    "heads-dfa-strict": ["task.pairs=50"],
    "grid-box": ["task.pairs=20", "grid.boxes=[3, 5]", "grid.moves=[1, 5]"],
    "grid-dfa": ["task.pairs=20", "grid.states=[3, 10]", "grid.steps=[5, 20]"],
    "state-action-box": ["task.pairs=60"],
    "state-action-dfa": ["task.pairs=60"],
    "paths": ["task.pairs=4"],
    "attention": ["task.pairs=50"],
}


def tops(rows, file, what):
    return [f"sweep.{i}.sets.top={{file: {file}, {what}}}" for i in range(rows)]


def fewer_random(rows):
    return [f"sweep.{i}.sets.random.count=20" for i in range(rows)]


def faithfulness(ranking):
    return ["task.pairs=30", *tops(4, ranking, "k: 10")]


def named_gpt2_xl(head):
    """`head` in the place of L22H20."""
    return (["task.pairs=20", *fewer_random(5), *(f"sweep.{i}.sets.named=[{head}]" for i in range(5))]
            + [f"sweep.{5 + i}.receiver=[{head}.{part}]" for i, part in enumerate("qkv")])


def named_pythia_1b(ranking):
    return ["task.pairs=20", *fewer_random(4), *tops(4, ranking, "layers: [0, 1, 2, 3]")]


def command(config, settings, output, model=MODEL):
    verb = "eval" if config.startswith("eval-") else "run"
    options = [x for s in [f"model.path={model}", *settings] for x in ("--set", s)]
    return [PATCHBAY, verb, str(HERE / f"{config}.yaml"), *options, "-o", str(output)]


# ---- figures of a result file -------------------------------------------------------------------

def percent(x):
    return f"{100 * float(x):.0f}%"


def cells_of(f):
    """The cells that there are, and what each is: ((1, 0), "boxes 3, moves 1")."""
    import numpy as np
    available = f["cells/available"]
    axes = [dimension.keys()[0] for dimension in available.dims]
    for at in map(tuple, np.argwhere(available[...] == 1)):
        yield at, ", ".join(f"{axis} {f['cells'][axis][i]:g}" for axis, i in zip(axes, at))


def of_accuracy(f):
    """Over all prompts (of cells that there are), then the first and the last cell, and the parts that the
    task tells apart."""
    there, cells = f["prompts/length"][...] >= 0, list(cells_of(f))
    right = f["prompts/right"][...][there] == 1
    text = [f"{percent(right.mean())} of {right.size} prompts right"]
    for at, where in (cells[0], cells[-1]):
        value, low, high = (f[f"summary/accuracy{end}"][at] for end in ("", "_ci_low", "_ci_high"))
        text.append(f"{percent(value)} [{percent(low)}, {percent(high)}] at {where}")
    for part in ("determined", "joint"):
        if part in f["prompts"]:
            of = f[f"prompts/{part}"][...][there] == 1
            if 0 < of.sum() < right.size:
                text.append(f"{percent(right[of].mean())} of {of.sum()} {part}")
    return "; ".join(text) + f"; log-probability {f['prompts/logprob_answer'][...][there].mean():.2f}"


def sweep_of(f, number):
    return f["sweeps"][next(k for k in f["sweeps"] if k.startswith(f"{number}_"))]


def strongest(values):
    """The place of the largest size, NaN last."""
    import numpy as np
    return np.unravel_index(np.nanargmax(np.abs(values)), values.shape)


def head(place):
    return "L{}H{}".format(*place)


def of_right(f):
    right = f["pairs/right"][...] == 1
    return f"right about {right.sum()} of {right.size} pairs"


def effect(summary, at):
    value, low, high = (float(summary[k][at]) for k in ("effect", "ci_low", "ci_high"))
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def of_heads(f):
    text = [of_right(f)]
    for number, name in ((0, "denoise"), (1, "denoise, last token"), (2, "noise"),
                         (3, "noise, last token")):
        summary = sweep_of(f, number)["summary"]
        at = strongest(summary["effect"][...])
        text.append(f"{name}: {head(at)} {effect(summary, at)}")
    return "; ".join(text)


def of_grid(f):
    """The strongest head of each cell."""
    summary, text = sweep_of(f, 0)["cells"], [of_right(f)]
    for cell, where in cells_of(f):
        at = strongest(summary["effect"][cell])
        text.append(f"{where}: {head(at)} {effect(summary, cell + at)}")
    return "; ".join(text)


def of_matched(f):
    group = sweep_of(f, 0)["summary/matched"]
    at = strongest(group["restoration_difference"][...])
    state, action = (group[f"restoration_{k}"][...] for k in ("state", "action"))
    difference, low, high = (float(group[k][at])
                             for k in ("restoration_difference", "ci_low", "ci_high"))
    most = [strongest(x) for x in (state, action)]
    return (f"{of_right(f)}; last token, most restored of the state {state[most[0]]:+.2f} by "
            f"{head(most[0])}, of the action {action[most[1]]:+.2f} by {head(most[1])}; largest difference "
            f"{difference:+.2f} [{low:+.2f}, {high:+.2f}] at {head(at)}")


def of_paths(f):
    summary = sweep_of(f, 0)["summary"]
    at = strongest(summary["effect"][...])
    text = [of_right(f), f"to the logits: {head(at)} {effect(summary, at)}"]
    for number, part in ((2, "q"), (3, "k"), (4, "v")):
        summary = sweep_of(f, number)["summary"]
        at = strongest(summary["effect"][...])
        text.append(f"to {part}: {head(at[:2])} to {head(at[2:])} {effect(summary, at)}")
    return "; ".join(text)


def of_attention(f):
    import numpy as np
    mass = np.nanmean(f["readings/head_scores/clean/role_mass"][...], axis=0)
    names = [x.decode() for x in f["readings/role_name"][...]]
    text = [of_right(f)]
    for i, name in enumerate(names):
        at = strongest(mass[..., i])
        text.append(f"most to {name}: {head(at)} {mass[..., i][at]:.2f}")
    summary = sweep_of(f, 0)["summary"]
    at = strongest(summary["effect"][...])
    return "; ".join(text) + f"; last row patched: {head(at)} {effect(summary, at)}"


def of_sets(f, number):
    group = sweep_of(f, number)
    name = group.name.rsplit("/", 1)[1]
    return group["summary"], [x.decode() for x in f[f"sets/{name}/name"][...]]


def of_faithfulness(f):
    whole, names = of_sets(f, 0)
    left, left_names = of_sets(f, 2)
    text = [of_right(f)]
    for k in (1, 3, 10):
        i, j = names.index(f"top {k}"), left_names.index(f"top {k}")
        text.append(f"{k} {'head' if k == 1 else 'heads'}: faithfulness {whole['faithfulness'][i]:.2f}, "
                    f"remaining without them {left['remaining'][j]:.2f}")
    return "; ".join(text)


def of_named(f):
    text = [of_right(f)]
    for number, name in ((0, "zero"), (1, "mean"), (2, "resample")):
        summary, _ = of_sets(f, number)
        text.append(f"{name}: {effect(summary, 0)}, accuracy {100 * summary['accuracy_change'][0]:+.0f} points, "
                    f"p {summary['p_random_effect'][0]:.2g} of {summary['n_random'][0]} random sets")
    return "; ".join(text)


def of_named_paths(f):
    text = [of_named(f)]
    for number, part in ((5, "q"), (6, "k"), (7, "v")):
        summary = sweep_of(f, number)["summary"]
        values = summary["effect"][...]
        at = strongest(values) if (values == values).any() else None
        text.append(f"into its {part}: {head(at)} {effect(summary, at)}" if at else
                    f"into its {part}: no earlier head")
    return "; ".join(text)


# ---- all of them ----------------------------------------------------------------------------

class Table:
    def __init__(self, folder):
        self.folder, self.rows = folder, []

    def add(self, config, settings, figures, what="", name=None):
        """Run it; a row with `figures` of its file."""
        import h5py
        output = self.folder / f"{name or config}.h5"
        words = command(config, settings, os.path.relpath(output, ROOT))
        done = subprocess.run([*words, "-q"], cwd=ROOT, capture_output=True, text=True,
                              env={"OMP_WAIT_POLICY": "passive", **os.environ})
        if done.returncode == 0:
            with h5py.File(output) as f:
                said = figures(f)
        else:
            said = "fails: " + done.stderr.strip().splitlines()[-1]
            print(shlex.join(words), said, sep="\n", file=sys.stderr)
        self.rows.append((config, what, said, [s for s in settings if not s.startswith("sweep.")]))
        return output

    def text(self):
        yield "| config | it gave | with `--set` |"
        yield "| --- | --- | --- |"
        for config, what, said, settings in self.rows:
            label = f"`{config}`" + (f", {what}" if what else "")
            yield f"| {label} | {said} | " + ", ".join(f"`{s}`" for s in settings) + " |"


def strongest_head(file):
    import h5py
    with h5py.File(file) as f:
        return head(strongest(sweep_of(f, 1)["summary/effect"][...]))


def compare(files):
    """What `patchbay compare` says of these, without its head."""
    done = subprocess.run([PATCHBAY, "compare", "--any-task", *map(str, files)], cwd=ROOT,
                          capture_output=True, text=True)
    return (done.stdout if done.returncode == 0 else done.stderr).strip()


def fill(folder):
    t = Table(folder)
    for config, settings in EVAL.items():
        t.add(config, settings, of_accuracy)
    ranking = {}
    for config in ("heads-box", "heads-dfa-strict"):
        for corrupt in ("state", "action", "distractor"):
            ranking[config, corrupt] = t.add(config, [*RUN[config], f"task.corrupt={corrupt}"], of_heads,
                                             corrupt, f"{config}-{corrupt}")
    for corrupt in ("noop", "same_action"):
        t.add("heads-dfa-paper", [*RUN["heads-dfa-paper"], f"task.corrupt={corrupt}"], of_heads, corrupt,
              f"heads-dfa-{corrupt}")
    for config in ("grid-box", "grid-dfa"):
        t.add(config, RUN[config], of_grid)
    for config in ("state-action-box", "state-action-dfa"):
        t.add(config, RUN[config], of_matched)
    t.add("paths", RUN["paths"], of_paths)
    t.add("attention", RUN["attention"], of_attention)
    box = ranking["heads-box", "state"]
    file = os.path.relpath(box, ROOT)
    t.add("faithfulness", faithfulness(file), of_faithfulness)
    chosen = strongest_head(box)
    t.add("named-gpt2-xl", named_gpt2_xl(chosen), of_named_paths, f"{chosen} for L22H20")
    t.add("named-pythia-1b", named_pythia_1b(file), of_named, "layers 0 to 3")
    return t, [os.path.relpath(ranking[c, "state"], ROOT) for c in ("heads-box", "heads-dfa-strict")]


def main(arguments):
    write = "--write" in arguments
    folders = [a for a in arguments if a != "--write"]
    if len(folders) > 1 or any(a.startswith("-") for a in folders):
        sys.exit(__doc__)
    folder = Path(folders[0] if folders else ROOT / "build/paper").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    table, files = fill(folder)
    lines = [*table.text(), "",
             f"`patchbay compare --any-task {' '.join(Path(f).name for f in files)}`:", "", "```",
             *compare(files).splitlines(), "```"]
    text = "\n".join(line.rstrip() for line in lines)
    if write:
        readme = HERE / "README.md"
        old = readme.read_text()
        before, after = old.split(BEGIN)[0], old.split(END)[1]
        readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    else:
        print(text)
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    return any("fails: " in row[2] for row in table.rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
