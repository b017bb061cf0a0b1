#!/usr/bin/env python3
"""Prompts a second of `patchbay eval` and of a batched transformers loop, in one run on the same
threads, and how far their log-probabilities are apart.

    python3 bench/peer_eval.py MODEL TASK.yaml [--threads 2] [--batch 64]

TASK.yaml: a config for `patchbay eval` without model and output. The loop is a good one: prompts
sorted by length, padded on the left so that only the last position is unembedded, in float32; and as
most people write it, padded on the right with all logits made. Needs torch and transformers (PyPI), h5py.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PATCHBAY = os.environ.get("PATCHBAY", "build/release/patchbay")


def ours(model, text, threads, folder):
    """Values of the file, its own time from first prompt to last, and the whole command's."""
    config = Path(folder) / "eval.yaml"
    config.write_text(f"model: {{path: {model}}}\n{text}")
    out = Path(folder) / "eval.h5"
    began = time.perf_counter()
    subprocess.run([PATCHBAY, "eval", str(config), "-o", str(out), "--threads", str(threads),
                    "--force", "-q"], check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - began
    with h5py.File(out) as file:
        there = file["prompts/length"][...].ravel() > 0
        texts = [t.decode() for t in file["prompts/text"][...].ravel()[there]]
        answers = file["prompts/answer_token"][...].ravel()[there]
        values = {k: file["prompts"][k][...].ravel()[there] for k in ("logprob_answer", "argmax")}
        return texts, answers, values, float(file.attrs["seconds_computing"]), whole


@torch.no_grad()
def theirs(model, tokenizer, ids, answers, batch, last_only):
    """Log-probabilities and argmax of every prompt; the time from first batch to last."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i])) if last_only else range(len(ids))
    order = list(order)
    logprob, argmax = np.zeros(len(ids)), np.zeros(len(ids), int)
    began = time.perf_counter()
    for start in range(0, len(order), batch):
        mine = order[start:start + batch]
        longest = max(len(ids[i]) for i in mine)
        tokens = torch.zeros(len(mine), longest, dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, i in enumerate(mine):
            at = slice(longest - len(ids[i]), longest) if last_only else slice(0, len(ids[i]))
            tokens[row, at] = torch.tensor(ids[i])
            mask[row, at] = 1
        if last_only:
            logits = model(tokens, attention_mask=mask, logits_to_keep=1,
                           position_ids=(mask.cumsum(-1) - 1).clamp(min=0)).logits[:, -1]
        else:
            logits = model(tokens, attention_mask=mask).logits
            logits = logits[torch.arange(len(mine)), mask.sum(-1) - 1]
        logits = logits.log_softmax(-1)
        logprob[mine] = logits[torch.arange(len(mine)), torch.tensor(answers[mine])].numpy()
        argmax[mine] = logits.argmax(-1).numpy()
    return logprob, argmax, time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("task", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        texts, answers, values, computing, whole = ours(args.model, args.task.read_text(),
                                                        args.threads, folder)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    ids = [tokenizer(t).input_ids for t in texts]
    theirs(model, tokenizer, ids[:args.batch], answers, args.batch, True)  # warm up
    n = len(texts)
    print(f"{n} prompts of {min(map(len, ids))} to {max(map(len, ids))} tokens, "
          f"{args.threads} threads, batches of {args.batch}")
    print(f"patchbay eval     {n / computing:9.1f} prompts/s computing; "
          f"{n / whole:.1f} with start-up, tokens and the file")
    for name, last_only in (("transformers", True), ("as usually written", False)):
        logprob, argmax, seconds = theirs(model, tokenizer, ids, answers, args.batch, last_only)
        off = np.abs(logprob - values["logprob_answer"]).max()
        print(f"{name:18s}{n / seconds:9.1f} prompts/s; patchbay is {seconds / computing:.2f} times "
              f"as fast ({seconds / whole:.2f} with all of the command); log-probabilities "
              f"{off:.1e} apart at most, {(argmax != values['argmax']).sum()} other argmax")
    return 0


if __name__ == "__main__":
    sys.exit(main())
