#!/usr/bin/env python3
"""Train the bundled model on all tasks together and export it.

    python3 data/train/train.py --minutes 90 --state build/boxbench.pt

Questions are trained as branches of a story (tasks.py): the story is encoded
once, and every question asked after every sentence sees its own prefix only,
so that a story carries about ten exact evaluation prompts for the price of two.
Loss on the answers alone; a curriculum from short to long in every task.  A
step has a part for each task; one that is further from its end gets more.
"""
import argparse
import json
import random
import signal
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from model import GptNeoX
from tasks import TASKS

HERE = Path(__file__).resolve().parent


def pack(stories, ids_of):
    """Stories with branches -> (ids, positions, mask, rows, answers)."""
    length = max(len(s) + sum(len(q) for _, q, _ in b) for s, b in stories)
    n = len(stories)
    ids = np.zeros((n, length), np.int64)
    positions = np.zeros((n, length), np.int64)
    branch = np.full((n, length), -1, np.int64)  # 0: the story, 1..: its questions, -1: padding
    seen = np.zeros((n, length), np.int64)       # story pieces a position may look at
    rows, answers = [], []
    for i, (story, branches) in enumerate(stories):
        at = len(story)
        ids[i, :at] = [ids_of[p] for p in story]
        positions[i, :at] = np.arange(at)
        branch[i, :at] = 0
        for k, (prefix, question, answer) in enumerate(branches, 1):
            answers.append(ids_of[answer])
            if not question:
                rows.append(i * length + prefix - 1)
                continue
            end = at + len(question)
            ids[i, at:end] = [ids_of[p] for p in question]
            positions[i, at:end] = np.arange(prefix, prefix + len(question))
            branch[i, at:end] = k
            seen[i, at:end] = prefix
            rows.append(i * length + end - 1)
            at = end
    mask = None
    if branch.max() > 0:
        branch, seen = torch.from_numpy(branch), torch.from_numpy(seen)
        index = torch.arange(length)
        own = (branch[:, :, None] == branch[:, None, :]) & (index[:, None] >= index)
        prefix = (branch == 0)[:, None, :] & (index[None, None, :] < seen[:, :, None])
        mask = (own | prefix)[:, None]
    return (torch.from_numpy(ids), torch.from_numpy(positions), mask,
            torch.tensor(rows), torch.tensor(answers))


@torch.no_grad()
def accuracy(model, task, level, n, seed, ids_of, batch=250):
    """Share of prompts in the evaluation form whose argmax over the vocabulary is right."""
    rng = random.Random(f"eval {seed} {level}")
    prompts = [task.prompt(rng, level) for _ in range(n)]
    right = 0
    for start in range(0, n, batch):
        part = prompts[start:start + batch]
        length = max(len(p) for p, _ in part)
        ids = torch.zeros(len(part), length, dtype=torch.long)
        for i, (pieces, _) in enumerate(part):
            ids[i, :len(pieces)] = torch.tensor([ids_of[p] for p in pieces])
        rows = torch.tensor([i * length + len(p) - 1 for i, (p, _) in enumerate(part)])
        positions = torch.arange(length).expand(len(part), length)
        best = model(ids, positions, None, rows).argmax(-1)
        right += (best == torch.tensor([ids_of[a] for _, a in part])).sum().item()
    return right / n


def grid_text(task, scores):
    cells = {task.cell(level): score for level, score in scores.items()}
    columns = sorted({column for _, column in cells})
    rows = list(dict.fromkeys(row for row, _ in cells))
    width = max(len(str(name)) for name in rows + [task.rows])
    lines = [f"{task.rows:{width}} | " + " ".join(f"{column:6d}" for column in columns)]
    for row in rows:
        lines.append(f"{row!s:>{width}} | " + " ".join(
            f"{100 * cells[row, column]:6.1f}" if (row, column) in cells else "     -" for column in columns))
    return "\n".join(lines)


def export(model, args, out):
    """Write config.json and F16 model.safetensors in the form transformers reads."""
    tensors = {k: v.detach().to(torch.float16).contiguous() for k, v in model.state_dict().items()}
    config = {
        "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox",
        "hidden_size": args.width, "num_hidden_layers": args.layers,
        "num_attention_heads": args.heads, "intermediate_size": 4 * args.width,
        "max_position_embeddings": 512, "rotary_pct": 0.5, "rotary_emb_base": 10000,
        "layer_norm_eps": 1e-5, "hidden_act": "gelu", "use_parallel_residual": False,
        "attention_bias": True, "tie_word_embeddings": False,
        "attention_dropout": 0.0, "hidden_dropout": 0.0, "initializer_range": 0.02,
        "vocab_size": tensors["embed_out.weight"].shape[0], "torch_dtype": "float16",
        "bos_token_id": 0, "eos_token_id": 0, "use_cache": True,
    }
    out.mkdir(parents=True, exist_ok=True)
    aside = out / "model.safetensors.new"
    save_file(tensors, aside, metadata={"format": "pt"})
    aside.chmod(0o644)
    aside.rename(out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")


class Course:
    """A task on its way through its levels."""

    def __init__(self, name, ids_of):
        self.name, self.task, self.ids_of = name, TASKS[name], ids_of
        self.at = {"frontier": 0, "running": 0.0, "seen": 0}  # kept in the state file

    def share(self):
        """Weight in a step: the distance from the last level and from being right."""
        left = 1 - self.at["frontier"] / (len(self.task.levels) - 1)
        return 0.15 + 0.5 * left + min(0.6, 3 * (1 - self.at["running"]))

    def choose_level(self, rng):
        """Mostly the newest level; the rest of the time an earlier one, so none is forgotten."""
        frontier = self.at["frontier"]
        if frontier == 0 or rng.random() < 0.7:
            return frontier
        return max(rng.randrange(frontier), rng.randrange(frontier))

    def draw(self, rng, budget):
        """(level, packed stories of about `budget` positions)."""
        pick = self.choose_level(rng)
        stories, used = [], 0
        while used < budget:
            story, branches = self.task.story(rng, self.task.levels[pick])
            stories.append((story, branches))
            used += len(story) + sum(len(q) for _, q, _ in branches)
        return pick, pack(stories, self.ids_of)

    def note(self, pick, right):
        """Whether the next level joins."""
        at = self.at
        if pick != at["frontier"]:
            return False
        at["running"] = right if at["seen"] == 0 else 0.9 * at["running"] + 0.1 * right
        at["seen"] += 1
        if at["running"] > self.task.pass_mark and at["seen"] >= 10 and pick + 1 < len(self.task.levels):
            at["frontier"], at["seen"] = pick + 1, 0
            return True
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--start", type=Path, help="folder of an exported model of this shape to begin with")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--decay-share", type=float, default=0.3, help="last share of the time: lr falls to 0")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=3072, help="positions a step, about")
    parser.add_argument("--ema", type=float, default=0.995)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check-minutes", type=float, default=7)
    parser.add_argument("--state", type=Path, help="file to keep the training state in; resumed if it exists")
    parser.add_argument("--out", type=Path, default=HERE.parent / "boxbench")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    tokenizer = Tokenizer.from_file(str(HERE.parent / "boxbench" / "tokenizer.json"))
    ids_of = {tokenizer.decode([i]): i for i in range(tokenizer.get_vocab_size())}
    courses = [Course(name, ids_of) for name in args.tasks.split(",")]
    for course in courses:
        probe = course.task.prompt(random.Random(0), course.task.levels[-1])[0]
        assert tokenizer.encode("".join(probe)).ids == [ids_of[p] for p in probe]

    shape = dict(vocab=tokenizer.get_vocab_size(), width=args.width, heads=args.heads, layers=args.layers)
    model, average = GptNeoX(**shape), GptNeoX(**shape)
    if args.start:
        model.load_state_dict({k: v.float() for k, v in load_file(args.start / "model.safetensors").items()})
    else:
        model.start_alike([(ids_of[a], ids_of[b]) for course in courses for a, b in course.task.alike])
        model.start_matching()
    average.load_state_dict(model.state_dict())
    tables = [model.gpt_neox["embed_in"].weight, model.embed_out.weight]
    decayed = [p for p in model.parameters() if p.dim() == 2 and not any(p is t for t in tables)]
    others = [p for p in model.parameters() if p.dim() != 2]
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01, "scale": 1.0},
                                   {"params": others, "weight_decay": 0.0, "scale": 1.0},
                                   {"params": tables, "weight_decay": 0.0, "scale": 0.5}],
                                  lr=args.lr, betas=(0.9, 0.98), fused=True)
    run = {"step": 0, "best": 0.0}
    if args.state and args.state.exists():
        saved = torch.load(args.state)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        run = saved["run"]
        for course in courses:
            course.at.update(saved["courses"].get(course.name, {}))
        print(f"resumed at step {run['step']}", flush=True)

    def keep_best(n):
        means = []
        for course in courses:
            task = course.task
            scores = {level: accuracy(average, task, level, n, "check", ids_of) for level in task.grid}
            means.append(sum(scores.values()) / len(scores))
            print(f"step {run['step']} {course.name}, {n} prompts a cell, mean {100 * means[-1]:.2f}\n"
                  f"{grid_text(task, scores)}", flush=True)
        mean = sum(means) / len(means)
        if mean >= run["best"]:
            run["best"] = mean
            export(average, args, args.out)
            print(f"step {run['step']} exported, mean of the tasks {100 * mean:.2f}", flush=True)

    def save_state():
        if args.state:
            aside = args.state.with_suffix(".new")
            torch.save({"model": model.state_dict(), "average": average.state_dict(),
                        "optimiser": optimiser.state_dict(), "run": run,
                        "courses": {course.name: course.at for course in courses}}, aside)
            aside.rename(args.state)

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    rng = random.Random(args.seed * 1000003 + run["step"])
    began = checked = reported = time.monotonic()
    tokens_done, drawing = 0, 0.0
    while not stop:
        elapsed = time.monotonic() - began
        share = elapsed / (60 * args.minutes)
        if share >= 1:
            break
        lr = args.lr * min(1, (run["step"] + 1) / args.warmup, (1 - share) / args.decay_share)
        for group in optimiser.param_groups:
            group["lr"] = lr * group["scale"]

        optimiser.zero_grad(set_to_none=True)
        whole = sum(course.share() for course in courses)
        for course in courses:
            before = time.monotonic()
            weight = course.share() / whole
            pick, (ids, positions, mask, rows, answers) = course.draw(rng, args.tokens * weight)
            drawing += time.monotonic() - before
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
                logits = model(ids, positions, mask, rows)
            logits = logits.float()
            loss = F.cross_entropy(logits, answers)
            (weight * loss).backward()
            tokens_done += ids.numel()
            right = (logits.argmax(-1) == answers).float().mean().item()
            course.loss = loss.item()
            if course.note(pick, right):
                print(f"step {run['step']} ({elapsed:.0f} s): {course.name} passed {course.task.levels[pick]}",
                      flush=True)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            keep = min(args.ema, (1 + run["step"]) / (10 + run["step"]))
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
        run["step"] += 1

        now = time.monotonic()
        if now - reported > 30:
            parts = "; ".join(f"{c.name} {c.task.levels[c.at['frontier']]} {100 * c.at['running']:.1f} "
                              f"loss {c.loss:.3f} share {c.share() / whole:.2f}" for c in courses)
            print(f"step {run['step']} ({elapsed:.0f} s) lr {lr:.1e} {tokens_done / (now - began):.0f} positions/s "
                  f"drawing {100 * drawing / (now - began):.0f}%: {parts}", flush=True)
            reported = now
        if now - checked > 60 * args.check_minutes:
            save_state()
            keep_best(30)
            checked = time.monotonic()
    save_state()
    keep_best(30)


if __name__ == "__main__":
    main()
