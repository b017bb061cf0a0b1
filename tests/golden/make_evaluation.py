#!/usr/bin/env python3
"""Goldens of `patchbay eval`: what transformers in float64 says of 1,000 prompts of the bundled model.

    python3 tests/golden/make_evaluation.py        # writes tests/golden/evaluation.json

Each task's prompts are those of `patchbay prompts` in the same cell; of each the argmax over the
vocabulary and the log-probability of the answer are kept. Needs torch and transformers (PyPI), and
the program (PATCHBAY).
"""
import hashlib
import itertools
import json
import os
import subprocess
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).resolve().parent
MODEL = HERE.parents[1] / "data/boxbench"
PATCHBAY = os.environ.get("PATCHBAY", "build/release/patchbay")
LIKELY = -0.6931  # log(1/2)
# task, its fixed options, its axes, prompts a cell
CASES = (("box", {}, {"boxes": [2, 4, 6], "moves": [1, 6]}, 50),
         ("dfa", {"edges": "auto"}, {"states": [4, 8], "steps": [6, 20]}, 75),
         ("adventure", {"objects": 3, "containers": 2}, {"rooms": [3, 5], "steps": [2, 6]}, 50),
         ("induction", {}, {"length": [8, 24]}, 100))


def lines(task, options, count):
    words = itertools.chain.from_iterable((f"--{k}", str(v)) for k, v in options.items())
    made = subprocess.run([PATCHBAY, "prompts", task, "--count", str(count), "--model", str(MODEL),
                           *words], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in made.splitlines()]


@torch.no_grad()
def main():
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float64)
    weights = hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest()
    golden = {"model_sha256": weights, "cases": []}
    for task, fixed, axes, count in CASES:
        case = {"task": task, "options": fixed, "axes": axes, "count": count, "prompts": [],
                "argmax": [], "logprob": []}
        for values in itertools.product(*axes.values()):
            for line in lines(task, {**fixed, **dict(zip(axes, values))}, count):
                ids = tokenizer(line["prompt"], return_tensors="pt").input_ids
                answer = tokenizer(line["prompt"] + line["answer"]).input_ids
                assert answer[:-1] == ids[0].tolist(), line["prompt"]
                logits = model(ids).logits[0, -1]
                case["prompts"].append(hashlib.sha256(line["prompt"].encode()).hexdigest()[:12])
                case["argmax"].append(int(logits.argmax()))
                case["logprob"].append(round(float(logits.log_softmax(-1)[answer[-1]]), 9))
        golden["cases"].append(case)
        right = sum(x > LIKELY for x in case["logprob"])
        print(f"{task}: {len(case['prompts'])} prompts, {right} answers of probability above 1/2")
    (HERE / "evaluation.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
