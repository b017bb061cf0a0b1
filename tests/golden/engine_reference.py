"""The float64 reference of the z sweeps: `transformers` with plain hooks, one full forward pass a
variant, nothing pruned.

`.double()` alone is no float64 reference: the modelling code of `transformers` drops to float32 in
softmax, in the rotary tables and in GPT-Neo's scores. float64_transformers() raises these, and
check_against_numpy() demands that a second forward pass, written in numpy, agrees.
"""
import contextlib

import h5py
import numpy as np
import torch
import transformers.models.gpt2.modeling_gpt2 as modeling_gpt2
import transformers.models.gpt_neo.modeling_gpt_neo as modeling_gpt_neo
import transformers.models.gpt_neox.modeling_gpt_neox as modeling_gpt_neox
from transformers import AutoModelForCausalLM, logging

from numpy_forward import NumpyModel

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)  # tiny products: more threads only wait, and one gives the same bits

DIRECTIONS = ("denoise", "noise")
POSITIONS = ("all", "last", "each")
SWEEPS = tuple(f"{d}_{p}" for d in DIRECTIONS for p in POSITIONS)
METRICS = ("prob_answer", "prob_foil", "prob_diff", "logprob_answer", "logprob_foil",
           "rank_answer", "rank_foil", "kl_recipient", "kl_donor")
AGREEMENT = 1e-10  # between the two float64 forwards, relative to the largest |logit|


class _TorchInDouble:
    """Stands for the module `torch` inside a modelling file: float32 is float64 there."""
    float32 = float = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@contextlib.contextmanager
def float64_transformers():
    modules = (modeling_gpt2, modeling_gpt_neo, modeling_gpt_neox)
    for module in modules:
        module.torch = _TorchInDouble()
    try:
        yield
    finally:
        for module in modules:
            module.torch = torch


def load(folder, dtype=torch.float64):
    """The model as `transformers` reads it, weights widened (exactly) to `dtype`."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    model.eval().requires_grad_(False)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        # the buffers of rotary frequencies stay float32, as in every transformers run
        if tensor.is_floating_point() and not name.endswith("inv_freq"):
            assert tensor.dtype == dtype, (name, tensor.dtype)
    return model


def inv_freq_of(model):
    """The float32 rotary frequencies, None without rotary positions."""
    for name, buffer in model.named_buffers():
        if name.endswith("rotary_emb.inv_freq"):
            assert torch.equal(buffer, buffer.float().to(buffer.dtype))
            return buffer.double().numpy()
    return None


class Reference:
    """Forward passes with z replaced, on a transformers model of one of the three families."""

    def __init__(self, model):
        self.model = model
        config = model.config
        self.n_heads, self.n_layers = config.num_attention_heads, config.num_hidden_layers
        # z of all heads, side by side, is the input of the attention's output projection
        if config.model_type == "gpt2":
            self.projections = [block.attn.c_proj for block in model.transformer.h]
            for block in model.transformer.h:  # the same formula, written in float32
                block.attn.reorder_and_upcast_attn = False
        elif config.model_type == "gpt_neo":
            self.projections = [block.attn.attention.out_proj for block in model.transformer.h]
        else:
            self.projections = [block.attention.dense for block in model.gpt_neox.layers]

    @torch.no_grad()
    def logits(self, ids):
        """Logits at the last position, [B, V]; ids [B, T]."""
        return self.model(input_ids=ids, use_cache=False).logits[:, -1]

    def z(self, ids):
        """z of a batch of prompts, one [B, T, H * K] a layer, and the last logits."""
        zs, handles = [], []
        for projection in self.projections:
            handles.append(projection.register_forward_pre_hook(
                lambda _, args: zs.append(args[0].clone())))
        try:
            logits = self.logits(ids)
        finally:
            for handle in handles:
                handle.remove()
        return zs, logits

    def patched(self, ids, layer, donor_z, mask):
        """Last logits [N, V] of N variants: variant n takes the donor's z [T, H * K] of `layer`
        where mask[n] [T, H * K] is true."""
        handle = self.projections[layer].register_forward_pre_hook(
            lambda _, args: (torch.where(mask, donor_z, args[0]),))
        try:
            return self.logits(ids.expand(len(mask), -1))
        finally:
            handle.remove()


def variant_masks(n_heads, n_positions, width, positions):
    """Masks [N, T, width] of one layer's variants, in the order of the stored axes."""
    head = torch.arange(width) // (width // n_heads)
    head = head[None] == torch.arange(n_heads)[:, None]
    where = {"all": torch.ones(1, n_positions, dtype=torch.bool),
             "last": torch.arange(n_positions)[None] == n_positions - 1,
             "each": torch.eye(n_positions, dtype=torch.bool)}[positions]
    masks = head[:, None, None, :] & where[None, :, :, None]
    return masks.reshape(-1, n_positions, width)


def metric_values(logits, recipient, donor, pair, n_tokens, logit_error):
    """All metrics of variants' logits [N, V] as a dict of arrays [N], and the range of ranks
    that logits off by up to logit_error would give."""
    answer, foil = pair["answer"], pair["foil"]
    log_p = torch.log_softmax(logits, -1)
    out = {}
    for name, token in (("answer", answer), ("foil", foil)):
        out["prob_" + name] = log_p[:, token].exp()
        out["logprob_" + name] = log_p[:, token]
        # rows beyond the tokenizer take part in softmax, never in ranks
        gap = logits[:, :n_tokens] - logits[:, token:token + 1]
        out["rank_" + name] = (gap > 0).sum(-1)
        out["rank_" + name + "_low"] = (gap > logit_error).sum(-1)
        others = torch.arange(n_tokens) != token
        out["rank_" + name + "_high"] = ((gap > -logit_error) & others).sum(-1)
    out["prob_diff"] = out["prob_answer"] - out["prob_foil"]
    for name, run in (("kl_recipient", recipient), ("kl_donor", donor)):
        log_q = torch.log_softmax(run, -1)
        out[name] = (log_q.exp() * (log_q - log_p)).sum(-1)
    return {name: value.numpy() for name, value in out.items()}


def first_difference(pair):
    for i, (a, b) in enumerate(zip(pair["clean"], pair["corrupted"])):
        if a != b:
            return i
    return len(pair["clean"])


def sweep_all(reference, pairs, full_metrics=(), n_tokens=None, batch=512):
    """Every z sweep of the pairs: {dataset name: array}. full_metrics names the sweeps
    ("denoise_all", ...) for which metrics over the whole vocabulary are kept too."""
    n_pairs, max_length = len(pairs), max(len(p["clean"]) for p in pairs)
    max_candidates = max(len(p.get("candidates", [])) for p in pairs)
    L, H = reference.n_layers, reference.n_heads
    out = {}

    def store(name, index, values, shape, dtype=np.float64):
        if name not in out:
            out[name] = np.full((n_pairs, *shape), np.nan, dtype)
        out[name][index] = values

    out["length"] = np.array([len(p["clean"]) for p in pairs])
    out["first_difference"] = np.array([first_difference(p) for p in pairs])
    logit_error = 1e-4  # what float32 may do to a logit, generously, when ranks are compared
    for b, pair in enumerate(pairs):
        ids = {side: torch.tensor([pair[side]]) for side in ("clean", "corrupted")}
        runs = {side: reference.z(ids[side]) for side in ids}
        length, width = ids["clean"].shape[1], runs["clean"][0][0].shape[-1]
        answer, foil = pair["answer"], pair["foil"]
        for side in ids:
            last = runs[side][1]
            store(f"base/{side}/logit_diff", b, (last[0, answer] - last[0, foil]).item(), ())
            tokens = n_tokens or last.shape[-1]
            values = metric_values(last, last, last, pair, tokens, logit_error)
            for name, value in values.items():
                if not name.startswith("kl"):
                    store(f"base/{side}/{name}", b, value[0], ())
        for direction in DIRECTIONS:
            to, donor = ("corrupted", "clean")[::1 if direction == "denoise" else -1]
            for positions in POSITIONS:
                name = f"{direction}_{positions}"
                masks = variant_masks(H, length, width, positions)
                shape = (L, H, max_length) if positions == "each" else (L, H)
                for layer in range(L):
                    donor_z = runs[donor][0][layer][0]
                    logits = torch.cat([reference.patched(ids[to], layer, donor_z, part)
                                        for part in masks.split(batch)])
                    where = (b, layer, slice(None)) + \
                        ((slice(length),) if positions == "each" else ())
                    cells = (H, length) if positions == "each" else (H,)
                    diff = logits[:, answer] - logits[:, foil]
                    store(name + "/logit_diff", where, diff.numpy().reshape(cells), shape)
                    if name not in full_metrics:
                        continue
                    tokens = n_tokens or logits.shape[-1]
                    values = metric_values(logits, runs[to][1], runs[donor][1], pair, tokens,
                                           logit_error)
                    for metric, value in values.items():
                        store(f"{name}/{metric}", where, value.reshape(cells), shape)
                    chosen = pair.get("candidates", [])
                    if max_candidates:
                        values = logits[:, chosen].numpy().reshape(*cells, len(chosen))
                        store(f"{name}/candidate_logits", (*where, Ellipsis, slice(len(chosen))),
                              values, (*shape, max_candidates))
    return out


def check_against_numpy(folder, reference, pairs, results, n_variants=40, seed=0):
    """The proof that the reference is float64: the numpy forward gives the same base runs and the
    same random variants to AGREEMENT. Returns the worst relative deviation."""
    second = NumpyModel(folder, inv_freq_of(reference.model))
    rng = np.random.default_rng(seed)
    runs = [{side: second.forward(p[side]) for side in ("clean", "corrupted")} for p in pairs]
    worst = 0.0

    def compare(what, got, expected, scale):
        nonlocal worst
        deviation = np.max(np.abs(np.asarray(got) - expected)) / scale
        if not deviation <= AGREEMENT:
            raise AssertionError(f"{folder}: {what}: transformers and numpy differ by "
                                 f"{deviation:.3g} of the largest logit: not a float64 reference")
        worst = max(worst, deviation)

    for b, pair in enumerate(pairs):
        for side in ("clean", "corrupted"):
            logits = reference.logits(torch.tensor([pair[side]]))[0].numpy()
            compare(f"pair {b} {side}", runs[b][side][0], logits, np.abs(logits).max())
    for _ in range(n_variants):
        b = int(rng.integers(len(pairs)))
        direction, positions = rng.choice(DIRECTIONS), rng.choice(POSITIONS)
        layer, head = (int(rng.integers(n)) for n in (reference.n_layers, reference.n_heads))
        length = len(pairs[b]["clean"])
        each = int(rng.integers(length))
        where = {"all": np.arange(length), "last": np.array([length - 1]),
                 "each": np.array([each])}[positions]
        to, donor = ("corrupted", "clean")[::1 if direction == "denoise" else -1]
        patch = (layer, head, where, runs[b][donor][1][layer, where, head])
        logits, _ = second.forward(pairs[b][to], patch)
        index = (b, layer, head) + ((each,) if positions == "each" else ())
        stored = results[f"{direction}_{positions}/logit_diff"][index]
        compare(f"pair {b} {direction} {positions} L{layer}H{head}",
                logits[pairs[b]["answer"]] - logits[pairs[b]["foil"]], stored,
                np.abs(logits).max())
    return worst


def write_expected(path, results):
    """One HDF5 file without anything that changes from run to run."""
    with h5py.File(path, "w") as file:
        for name, values in sorted(results.items()):
            # chunks cost more than they save in a small dataset
            options = {"compression": "gzip", "compression_opts": 9, "shuffle": True} \
                if values.nbytes > 4096 else {}
            file.create_dataset(name, data=values, **options)


def reference_results(folder, pairs, full_metrics=(), n_tokens=None):
    """(results, float64 check, float32 deviation): the sweeps of a folder's model, proven to be
    float64, and how far a plain float32 forward would be off (of the largest effect)."""
    reference = Reference(load(folder))  # outside: the rotary table must be made in float32
    with float64_transformers():
        results = sweep_all(reference, pairs, full_metrics, n_tokens)
        agreement = check_against_numpy(folder, reference, pairs, results)
    plain = sweep_all(Reference(load(folder, torch.float32)), pairs)
    return results, agreement, deviation_of_effects(plain, results)


def effects_of(results, name):
    """Effects of one sweep: variant minus the recipient's baseline."""
    side = "corrupted" if name.startswith("denoise") else "clean"
    values = results[name + "/logit_diff"]
    return values - results[f"base/{side}/logit_diff"].reshape(-1, *[1] * (values.ndim - 1))


def largest_effect(results):
    return max(np.nanmax(np.abs(effects_of(results, s))) for s in SWEEPS)


def deviation_of_effects(got, expected):
    """Worst deviation of a sweep's effects, or of the base runs, in largest effects."""
    worst = 0.0
    for name in SWEEPS:
        right = effects_of(expected, name)
        off, scale = np.nanmax(np.abs(effects_of(got, name) - right)), np.nanmax(np.abs(right))
        worst = max(worst, off / scale if scale > 0 else 0.0)
    for side in ("clean", "corrupted"):
        name = f"base/{side}/logit_diff"
        off = np.max(np.abs(got[name] - expected[name]))
        worst = max(worst, off / largest_effect(expected))
    return worst
