"""What the goldens of the sweeps are made of: tiny models of each block form, pairs, files of
vectors and subspaces, and rows of sweeps that together have every site, intervention, direction,
kind of positions, set, window and path."""
import numpy as np
from safetensors.numpy import save_file

import engine_models as em
from sweep_hooks import HEAD_SITES

ROLES = ("subject", "verb", "object", "end")

# width 12 = 3 heads of 4, 10 = 2 heads of 5: no size is a multiple of a vector register's
MODELS = {
    "gpt2": dict(family="gpt2", seed=51, gain=1.5, config=dict(
        n_embd=15, n_head=3, n_layer=3, vocab_size=29, n_positions=12, n_inner=22)),
    "gpt_neo": dict(family="gpt_neo", seed=52, gain=0.9, config=dict(
        hidden_size=10, num_heads=2, num_layers=3, vocab_size=23, max_position_embeddings=12,
        intermediate_size=17, window_size=3,
        attention_types=[[["global"], 1], [["local"], 1], [["global"], 1]])),
    "gpt_neox_parallel": dict(family="gpt_neox", seed=53, gain=1.5, config=dict(
        hidden_size=12, num_attention_heads=3, num_hidden_layers=3, intermediate_size=20,
        vocab_size=31, max_position_embeddings=12, rotary_pct=0.5)),
    "gpt_neox_sequential": dict(family="gpt_neox", seed=54, gain=1.5, config=dict(
        hidden_size=12, num_attention_heads=2, num_hidden_layers=3, intermediate_size=19,
        vocab_size=31, max_position_embeddings=12, rotary_pct=1.0, use_parallel_residual=False)),
}


# ---- pairs and files ----------------------------------------------------------------------------

def some_roles(rng, length, names=ROLES):
    """A role or none for each token, every one of `names` somewhere if there is room."""
    roles = [None] * length
    for i, name in zip(rng.permutation(length), names):
        roles[i] = name
    for i in range(length):
        if roles[i] is None and rng.random() < 0.4:
            roles[i] = str(rng.choice(names))
    return roles


def mixed_pairs(rng, n_vocab):
    """Lengths 7, 7, 5, 5, 5, 9: the last has no other to be resampled from, and no object."""
    def pair(length, differ, roles=ROLES, **extra):
        made = em.make_pair(rng, n_vocab, length, differ, **extra)
        return {**made, "roles": some_roles(rng, length, roles)}

    return [pair(7, [2, 4]), pair(7, [0], note="first token only"),
            pair(5, [4], note="last token only"), pair(5, [1]),
            pair(5, range(5), note="every token"),
            pair(9, [3, 8], roles=("subject", "verb", "end"))]


def equal_pairs(rng, n_vocab):
    return [{**em.make_pair(rng, n_vocab, 6, differ), "roles": some_roles(rng, 6)}
            for differ in ([2], [5], [0, 3], [])]


def write_vectors(folder, rng, model):
    """Every form that a vector and a subspace file may have, for sites with and without heads."""
    layers, heads, width, head = model.n_layers, model.n_heads, model.width, \
        model.width // model.n_heads
    shapes = {"vector": {"width": (width,), "layers": (layers, width), "head": (head,),
                         "layers_head": (layers, head), "heads": (layers, heads, head),
                         "mlp": (model.d_mlp,)}}
    shapes["subspace"] = {name: (*shape[:-1], 2, shape[-1])
                          for name, shape in shapes["vector"].items()}
    for kind, forms in shapes.items():
        for name, shape in forms.items():
            save_file({kind: rng.normal(size=shape).astype(np.float32)},
                      folder / f"{kind}_{name}.safetensors")


def form_of(site, n):
    """A form of vector file that fits the site; n chooses among them."""
    if site in HEAD_SITES:
        return ("head", "layers_head", "heads")[n % 3]
    if site == "mlp_post":
        return "mlp"
    return "width" if site == "embed" else ("width", "layers")[n % 2]


# ---- rows ----------------------------------------------------------------------------------------

POSITIONS = ("all", "last", "each", [-2, 1], ["object", "verb"])


def site_rows(folder, sites, shift):
    """Every site with every intervention; the kinds of positions go round."""
    count = shift

    def positions(site, intervention):
        nonlocal count
        count += 1
        chosen = POSITIONS[count % len(POSITIONS)]
        if intervention == "add" and site in ("k", "k_rot") and chosen == "all":
            chosen = "each"  # the same added to every key cancels in the softmax
        return "each_key" if site == "pattern" and chosen == "last" else chosen

    def row(site, intervention, **keys):
        return {"intervention": intervention, "site": site,
                "positions": positions(site, intervention), **keys}

    for n, site in enumerate(sites):
        other = ("denoise", "noise")[(n + shift) % 2]
        yield {"intervention": "patch", "site": site, "direction": "denoise", "positions": "all"}
        yield {"intervention": "patch", "site": site, "direction": "noise", "positions": "each"}
        yield row(site, "patch", direction=other)
        yield row(site, "zero", direction=other)
        yield row(site, "resample", seed=n + shift)
        yield row(site, "scale", alpha=[0, 0.5, 1, 2], direction=other)
        if site == "pattern":
            yield {"intervention": "patch", "site": site, "direction": "denoise",
                   "positions": "each_key"}
            continue
        reference = {"over": ("clean", "corrupted", f"{folder}/reference.jsonl")[n % 3],
                     "by": ("overall", "role")[n % 2]}
        yield row(site, "mean", reference=reference, direction=other)
        yield row(site, "add", vector=f"{folder}/vector_{form_of(site, n)}.safetensors",
                  **({"alpha": [-0.7, 1.5]} if n % 2 else {}))
        yield row(site, "project", direction=other,
                  subspace=f"{folder}/subspace_{form_of(site, n + 1)}.safetensors")
        yield row(site, "control", direction=other, seed=(1 << 33) + n)


def part_rows(parallel, heads, layers):
    """Windows, parts of the grid, neurons."""
    yield {"intervention": "patch", "site": "z", "positions": "all", "window": 3}
    yield {"intervention": "zero", "site": "mlp_out", "positions": "each", "window": 3}
    yield {"intervention": "patch", "site": "attn_out", "positions": "last", "window": 5,
           "layers": [0, 2]}
    yield {"intervention": "scale", "alpha": 0.5, "site": "v", "positions": "all", "window": 3}
    yield {"intervention": "patch", "site": "k", "positions": "all", "window": 3,
           "direction": "noise"}
    yield {"intervention": "patch", "site": "z", "positions": "each", "layers": [1],
           "heads": [heads - 1]}
    yield {"intervention": "zero", "site": "v", "positions": "all", "layers": [0, layers - 1],
           "heads": [0]}
    yield {"intervention": "patch", "site": "q", "positions": "all", "heads": [0],
           "direction": "noise"}
    yield {"intervention": "patch", "site": "mlp_out", "positions": [6, -1]}
    yield {"intervention": "zero", "site": "attn_out", "positions": ["end", "object"]}
    yield {"intervention": "scale", "alpha": [0, 2], "site": "pattern", "positions": "all",
           "layers": [1]}
    yield {"intervention": "patch", "site": "mlp_post", "positions": "all", "layers": [1],
           "neurons": "all"}
    yield {"intervention": "zero", "site": "mlp_post", "positions": "each", "layers": [0],
           "neurons": [2, 5, 11]}
    yield {"intervention": "control", "site": "mlp_post", "positions": "all", "layers": [1],
           "neurons": [0, 3, 4], "seed": 9}
    yield {"intervention": "control", "site": "z", "positions": "all", "layers": [1],
           "window": 3, "seed": 9}
    yield {"intervention": "scale", "alpha": [0, 3], "site": "mlp_post", "positions": "last",
           "layers": [layers - 1], "neurons": [0, 7]}
    if not parallel:
        yield {"intervention": "patch", "site": "resid_mid", "positions": "each", "layers": [1],
               "window": 3, "direction": "noise"}


def set_rows(heads, layers):
    last = layers - 1
    circuit = [f"L0H{heads - 1}", "L1H0", f"L{last}H0"]
    named = {"circuit": circuit, "early": ["L0H0", "L0H1"], "mixed": ["L0H1", "M1", "L2H0"],
             "mlps": ["M0", "M1"], "one": ["L1H1"]}
    plain = {name: members for name, members in named.items() if name not in ("mixed", "mlps")}
    yield {"intervention": "patch", "sets": named, "positions": "all"}
    yield {"intervention": "patch", "sets": named, "positions": "all", "direction": "noise",
           "complement": True}
    yield {"intervention": "zero", "sets": named, "positions": "last"}
    yield {"intervention": "mean", "sets": plain, "positions": "all", "complement": True}
    yield {"intervention": "scale", "sets": named, "positions": "all", "alpha": [0, 0.5, 1.5]}
    yield {"intervention": "resample", "sets": named, "positions": "all", "seed": 3}
    yield {"intervention": "control", "sets": named, "positions": "all", "seed": 4}
    yield {"intervention": "control", "sets": plain, "site": "k", "positions": [0, -1], "seed": 4,
           "complement": True, "direction": "noise"}
    yield {"intervention": "zero", "sets": {"mlps": ["M0"], "more": ["M1", f"M{last}"]},
           "positions": "all", "complement": True}
    yield {"intervention": "patch", "positions": "all",
           "sets": {"circuit": ["L1H0"], "random": {"size": 2, "count": 5, "seed": 6}}}
    yield {"intervention": "zero", "positions": "all", "site": "v", "sets": {
        "circuit": ["L0H1", f"L{last}H0"],
        "random": {"count": 4, "seed": 1, "match": "layer"}}}
    yield {"intervention": "patch", "sets": {"pairs": "all"}, "positions": "all"}
    yield {"intervention": "zero", "sets": {**plain, "pairs": "all"}, "positions": "all",
           "site": "v"}
    for site in HEAD_SITES:
        yield {"intervention": "patch", "sets": named, "site": site,
               "positions": ["object"] if site in ("q", "v") else "all",
               "direction": "denoise" if site in ("k", "pattern", "q") else "noise"}
    yield {"intervention": "scale", "sets": plain, "site": "pattern", "positions": "all",
           "alpha": 0.5}
    yield {"intervention": "scale", "sets": plain, "site": "q", "positions": [-1, -2],
           "alpha": 2, "complement": True}


def path_rows(heads, layers, shift):
    """Every sender to every receiver, both freezes; directions and positions go round."""
    count = shift
    for sender in ("head", "mlp", "embed"):
        for receiver in ("q", "k", "v", "mlp", "logits"):
            for freeze in ("all", "attention"):
                count += 1
                yield {"intervention": "path", "sender": sender, "receiver": receiver,
                       "freeze": freeze, "direction": ("denoise", "noise")[count // 2 % 2],
                       "positions": "all" if (sender, receiver) == ("embed", "logits") else
                       ("all", "all", "last", [1, -1], ["verb", "subject"])[count % 5]}
    last = layers - 1
    everything = [f"L{last}H0.q", f"L{last}H1.k", f"L1H0.v", "M1", f"L1H{heads - 1}.q", "logits"]
    for receivers in (everything, ["L2H0.q", "L2H1.q"], [f"L{last}H1.v", "logits"], ["M1", "M2"],
                      ["L1H0.k", "L1H1.k"]):
        for sender in ("head", "mlp", "embed"):
            count += 1
            yield {"intervention": "path", "sender": sender, "receiver": receivers,
                   "freeze": ("all", "attention")[count % 2],
                   "direction": ("denoise", "noise")[count // 2 % 2], "positions": "all"}
    yield {"intervention": "path", "sender": "head", "layers": [0, 1], "heads": [1],
           "receiver": "v", "receiver_layers": [1, last], "receiver_heads": [0], "freeze": "all",
           "positions": "all"}


def equal_rows(folder, sites):
    """What needs prompts of one length: means by position; and controls of the rest."""
    for n, site in enumerate(sites):
        yield {"intervention": "mean", "site": site, "positions": ("all", "each", "last")[n % 3],
               "direction": ("noise", "denoise")[n % 2],
               "reference": {"over": ("clean", "corrupted")[n // 2 % 2], "by": "position"}}
    yield {"intervention": "mean", "site": "pattern", "positions": "each_key",
           "reference": {"over": "corrupted", "by": "position"}}
    yield {"intervention": "mean", "site": "z", "positions": "all",
           "reference": {"over": f"{folder}/reference_equal.jsonl", "by": "position"}}
    yield {"intervention": "mean", "sets": {"a": ["L0H0", "L1H1"], "b": ["L2H1"]},
           "positions": "all", "reference": {"over": "clean", "by": "position"}}
    yield {"intervention": "patch", "site": "z", "positions": "each"}
    yield {"intervention": "resample", "site": "resid_post", "positions": "each", "seed": 1}
