#!/usr/bin/env python3
"""Measure the exported (F16) model on prompts of `patchbay prompts`; check it against transformers.

    python3 data/train/evaluate.py --prompts 500         # one grid a task
    python3 data/train/evaluate.py --form                # the training text against the program's
    python3 data/train/evaluate.py --transformers        # needs transformers

Weights are read as F16 and computed with in float32.  Right is a prompt whose
answer is the argmax over the whole vocabulary.
"""
import argparse
import json
import random
import re
import subprocess
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

import make_tokenizer
from model import GptNeoX
from tasks import BOX_OBJECTS, CONTAINERS, ROOMS, TASKS, THINGS
from train import grid_text

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "data" / "boxbench"


def load(folder):
    config = json.loads((folder / "config.json").read_text())
    model = GptNeoX(config["vocab_size"], config["hidden_size"], config["num_attention_heads"],
                    config["num_hidden_layers"], config["rotary_pct"], config["rotary_emb_base"])
    model.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    return model.eval()


def program_prompts(args, name, level, n):
    """Lines of `patchbay prompts` at a level."""
    command = [args.patchbay, "prompts", name, *TASKS[name].options(level), "--model", str(args.folder),
               "--count", str(n), "--seed", str(args.seed), *args.more.split()]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@torch.no_grad()
def logits_of(model, prompts, batch=125):
    """Logits behind the last token of each prompt (lists of ids)."""
    parts = []
    for start in range(0, len(prompts), batch):
        part = prompts[start:start + batch]
        length = max(map(len, part))
        ids = torch.zeros(len(part), length, dtype=torch.long)
        for i, prompt in enumerate(part):
            ids[i, :len(prompt)] = torch.tensor(prompt)
        rows = torch.tensor([i * length + len(prompt) - 1 for i, prompt in enumerate(part)])
        parts.append(model(ids, torch.arange(length).expand(len(part), length), None, rows))
    return torch.cat(parts)


def kinds_of(line):
    """What a prompt counts as, besides as one of all."""
    yield "all"
    if line.get("joint"):
        yield "joint"
    if line.get("query") in ("place", "flag"):
        yield line["query"]
    elif line.get("query") == "player":
        steps = [s for s in line["prompt"].split(". ")[1:-1] if s.startswith("You ")]
        other = [i for i, s in enumerate(steps) if not s.startswith("You go")]
        walked = len(steps) - 1 - max(other, default=-1)
        yield "player"
        yield "player after " + ("another step" if walked == 0 else f"{walked} go" if walked < 3 else "3 and more go")


def measure(args, model, tokenizer, name, level):
    """Share of right answers; [right, all] by kind of question where the task has kinds."""
    lines = program_prompts(args, name, level, args.prompts)
    prompts = [tokenizer.encode(line["prompt"]).ids for line in lines]
    answers = [tokenizer.encode(line["answer"]).ids for line in lines]
    assert all(len(answer) == 1 for answer in answers)
    best = logits_of(model, prompts).argmax(-1).tolist()
    right, whole = Counter(), Counter()
    for line, answer, guess in zip(lines, answers, best):
        for kind in kinds_of(line):
            right[kind] += guess == answer[0]
            whole[kind] += 1
    return {kind: (right[kind], whole[kind]) for kind in whole}


def card_table(task, scores):
    cells = {task.cell(level): score for level, score in scores.items()}
    columns = sorted({column for _, column in cells})
    lines = [f"| {task.rows} | " + " | ".join(f"{column} {task.columns}" for column in columns) + " |",
             "| --- |" + " ---: |" * len(columns)]
    for row in dict.fromkeys(row for row, _ in cells):
        lines.append(f"| {row} | " + " | ".join(
            f"{100 * cells[row, column]:.1f}" if (row, column) in cells else "" for column in columns) + " |")
    return "\n".join(lines)


def write_card(card, name, text):
    """Put the text between the task's markers in the model card."""
    before, rest = card.read_text().split(f"<!-- grid {name} -->")
    after = rest.split("<!-- /grid -->", 1)[1]
    card.write_text(f"{before}<!-- grid {name} -->\n{text}\n<!-- /grid -->{after}")


def measure_task(args, model, tokenizer, name):
    task = TASKS[name]
    levels = task.grid
    if args.levels:
        levels = [tuple(map(int, level.split("x"))) for level in args.levels.split(",")]
    counts = {level: measure(args, model, tokenizer, name, level) for level in levels}
    scores = {level: kinds["all"][0] / kinds["all"][1] for level, kinds in counts.items()}
    print(f"{name}\n{grid_text(task, scores)}")
    right, whole = Counter(), Counter()
    for kinds in counts.values():
        for kind, (r, n) in kinds.items():
            right[kind] += r
            whole[kind] += n
    kinds = ", ".join(f"{kind} {100 * right[kind] / whole[kind]:.1f}" for kind in sorted(whole) if kind != "all")
    required = [scores[level] for level in levels if level in task.required]
    summary = f"{args.prompts} prompts a cell, seed {args.seed}; mean {100 * right['all'] / whole['all']:.1f}"
    summary += f" ({kinds})." if kinds else "."
    print(summary + (f" Worst required cell {100 * min(required):.1f}." if required else ""), flush=True)
    if args.card:
        write_card(args.folder / "README.md", name, card_table(task, scores) + "\n\n" + summary)


# ---- the form of the training text ---------------------------------------------------------

WORDS = {"<object>": BOX_OBJECTS + [word.capitalize() for word in BOX_OBJECTS],
         "<room>": ROOMS, "<thing>": THINGS, "<container>": CONTAINERS,
         "<direction>": "north east south west North East South West".split(),
         "<word>": make_tokenizer.VOCABULARY}
NAMES = {"box": ("<object>",), "adventure": ("<room>", "<thing>", "<container>", "<direction>"),
         "dfa": (), "induction": ("<word>",)}


def forms(name, text):
    """The sentences of a text with every name replaced by its kind."""
    for kind in NAMES[name]:
        text = re.sub(r"\b(" + "|".join(WORDS[kind]) + r")\b", kind, text)
    text = re.sub(r"(?<=[ ,])[a-z](?=[ ,.]|$)", "<state>", re.sub(r"\b[A-Z]\b", "<letter>", text))
    text = re.sub(r"(<\w+>)(( and the|,? the|,)? \1)+", r"\1s", text)  # lists of any length
    return {sentence.strip(" ") for sentence in re.split(r"(?<=\.)|(?<=\n)", text)}


def check_form(args, tokenizer, ids_of):
    """Each piece one token; no sentence that the program does not write, and none missing."""
    rng = random.Random("form")
    for name, task in TASKS.items():
        ours, theirs = set(), set()
        for level in task.levels:
            for _ in range(100):
                story, branches = task.story(rng, level)
                texts = [story[:prefix] + question for prefix, question, _ in branches]
                for pieces in texts[:2] + texts[-6:]:
                    assert tokenizer.encode("".join(pieces)).ids == [ids_of[p] for p in pieces], pieces
                    ours |= forms(name, "".join(pieces))
            for line in program_prompts(args, name, level, 100):
                theirs |= forms(name, line["prompt"])
        assert ours == theirs, (name, sorted(ours ^ theirs))
        print(f"{name}: {len(ours)} forms of sentences, the same in both")
        for form in sorted(ours) if args.verbose else ():
            print("   ", repr(form))


@torch.no_grad()
def check_transformers(args, model, tokenizer, n=60):
    """Same keys, same logits and same answers in transformers, from plain text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    theirs, info = AutoModelForCausalLM.from_pretrained(
        args.folder, dtype=torch.float32, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[kind], (kind, info[kind])
    read = AutoTokenizer.from_pretrained(args.folder)
    for name, task in TASKS.items():
        right = [0, 0]
        worst = 0.0
        for line in program_prompts(args, name, task.required[-1], n):
            ids = read(line["prompt"], return_tensors="pt").input_ids
            assert ids[0].tolist() == tokenizer.encode(line["prompt"]).ids
            answer = tokenizer.encode(line["answer"]).ids[0]
            ours, other = logits_of(model, ids.tolist())[0], theirs(ids).logits[0, -1]
            worst = max(worst, (ours - other).abs().max().item())
            right[0] += int(ours.argmax()) == answer
            right[1] += int(other.argmax()) == answer
        print(f"{name}, {n} prompts: {right[0]} right here, {right[1]} in transformers, "
              f"largest logit difference {worst:.1e}")
        assert right[0] == right[1] and worst < 1e-3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--patchbay", default=str(ROOT / "build" / "release" / "patchbay"), help="the program")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--prompts", type=int, default=500, help="a cell")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--levels", help="of one task: boxes and moves as 7x7,8x8 instead of the grid")
    parser.add_argument("--more", default="", help="further options of `patchbay prompts`, as '--actions 4'")
    parser.add_argument("--form", action="store_true", help="only compare the training text with the program's")
    parser.add_argument("--transformers", action="store_true", help="only compare with transformers")
    parser.add_argument("--card", action="store_true", help="write the grids into the folder's README.md")
    parser.add_argument("--verbose", action="store_true", help="with --form: show the forms")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = Tokenizer.from_file(str(args.folder / "tokenizer.json"))
    if args.form:
        check_form(args, tokenizer, {tokenizer.decode([i]): i for i in range(tokenizer.get_vocab_size())})
        return
    model = load(args.folder)
    if args.transformers:
        check_transformers(args, model, tokenizer)
        return
    for name in args.tasks.split(","):
        measure_task(args, model, tokenizer, name)


if __name__ == "__main__":
    main()
