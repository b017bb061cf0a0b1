#!/usr/bin/env python3
"""Measure the exported (F16) model on the accuracy grid; check it against transformers.

    python3 data/train/evaluate.py --prompts 500
    python3 data/train/evaluate.py --transformers        # needs transformers

Weights are read as F16 and computed with in float32.
"""
import argparse
import json
import random
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from model import GptNeoX
from tasks import TASKS
from train import accuracy, grid_text

FOLDER = Path(__file__).resolve().parents[1] / "boxbench"


def load(folder):
    config = json.loads((folder / "config.json").read_text())
    model = GptNeoX(config["vocab_size"], config["hidden_size"], config["num_attention_heads"],
                    config["num_hidden_layers"], config["rotary_pct"], config["rotary_emb_base"])
    model.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    return model.eval()


def write_card(card, scores, n):
    """Put the grid between the markers of the model card."""
    moves = sorted({m for _, m in scores})
    lines = ["| boxes | " + " | ".join(f"{m} moves" for m in moves) + " |",
             "| --- |" + " ---: |" * len(moves)]
    for b in sorted({b for b, _ in scores}):
        lines.append(f"| {b} | " + " | ".join(f"{100 * scores[b, m]:.1f}" for m in moves) + " |")
    before, rest = card.read_text().split("<!-- grid -->")
    after = rest.split("<!-- /grid -->")[1]
    table = "\n".join(lines) + f"\n\n{n} prompts a cell."
    card.write_text(f"{before}<!-- grid -->\n{table}\n<!-- /grid -->{after}")


@torch.no_grad()
def check_transformers(folder, model, tokenizer, ids_of, task, n=200):
    """Same keys, same logits and same answers in transformers, from plain text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    theirs, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[kind], (kind, info[kind])
    read = AutoTokenizer.from_pretrained(folder)
    rng = random.Random("transformers")
    right = [0, 0]
    worst = 0.0
    for _ in range(n):
        pieces, answer = task.prompt(rng, rng.choice(task.grid))
        ids = read("".join(pieces), return_tensors="pt").input_ids
        assert ids[0].tolist() == tokenizer.encode("".join(pieces)).ids == [ids_of[p] for p in pieces]
        ours = model(ids, torch.arange(ids.shape[1])[None], None, torch.tensor([ids.shape[1] - 1]))[0]
        other = theirs(ids).logits[0, -1]
        worst = max(worst, (ours - other).abs().max().item())
        right[0] += int(ours.argmax()) == ids_of[answer]
        right[1] += int(other.argmax()) == ids_of[answer]
    print(f"{n} prompts over the grid: {right[0]} right here, {right[1]} in transformers, "
          f"largest logit difference {worst:.1e}")
    assert right[0] == right[1] and worst < 1e-3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--task", default="box", choices=TASKS)
    parser.add_argument("--prompts", type=int, default=500, help="a cell")
    parser.add_argument("--seed", default="report")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--levels", help="boxes and moves as 7x7,8x8 instead of the grid")
    parser.add_argument("--transformers", action="store_true", help="only compare with transformers")
    parser.add_argument("--card", action="store_true", help="write the grid into the folder's README.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = Tokenizer.from_file(str(args.folder / "tokenizer.json"))
    ids_of = {tokenizer.decode([i]): i for i in range(tokenizer.get_vocab_size())}
    model, task = load(args.folder), TASKS[args.task]
    if args.transformers:
        check_transformers(args.folder, model, tokenizer, ids_of, task)
        return
    levels = task.grid
    if args.levels:
        levels = [tuple(map(int, level.split("x"))) for level in args.levels.split(",")]
    scores = {level: accuracy(model, task, level, args.prompts, args.seed, ids_of) for level in levels}
    if args.levels:
        print("  ".join(f"{b}x{m} {100 * s:.1f}" for (b, m), s in scores.items()))
        return
    if args.card:
        write_card(args.folder / "README.md", scores, args.prompts)
    print(grid_text(scores))
    print(f"mean {100 * sum(scores.values()) / len(scores):.2f}, worst required cell "
          f"{100 * min(scores[level] for level in task.required):.1f}, {args.prompts} prompts a cell")


if __name__ == "__main__":
    main()
