"""The rows of a run's YAML as the reference reads them, and the cells of each: its axes in the
order of the result file. PyYAML, and nothing of Patchbay's own code."""
import itertools
import re
from dataclasses import dataclass, field
from typing import Optional

from sweep_hooks import HEAD_SITES

WITH_DONOR = ("patch", "project", "control", "path")
RESERVED = ("top", "random", "pairs")


@dataclass
class Row:
    n: int
    intervention: str
    site: str = "z"
    direction: str = "noise"
    positions: object = "all"       # a word, a list of ints or a list of role names
    alphas: list = field(default_factory=lambda: [1.0])
    vector: Optional[str] = None
    subspace: Optional[str] = None
    over: str = "clean"
    by: str = "overall"
    seed: int = 0
    sets: Optional[dict] = None     # {name: [(layer, head or None for the MLP)]}
    random: Optional[dict] = None
    top: Optional[dict] = None
    all_pairs: bool = False
    complement: bool = False
    window: int = 1
    layers: Optional[list] = None
    heads: Optional[list] = None
    neurons: object = None          # None, "all" or a list
    sender: str = "head"
    receiver: object = "q"          # a word or [(kind, layer, head)]
    freeze: str = "all"
    receiver_layers: Optional[list] = None
    receiver_heads: Optional[list] = None

    @property
    def recipient(self):
        return "corrupted" if self.direction == "denoise" else "clean"

    @property
    def donor(self):
        return "clean" if self.direction == "denoise" else "corrupted"

    @property
    def positions_word(self):
        if isinstance(self.positions, str):
            return self.positions
        return "list" if isinstance(self.positions[0], int) else "roles"

    @property
    def name(self):
        """Of its group in the result file."""
        if self.intervention == "path":
            receiver = self.receiver if isinstance(self.receiver, str) else "set"
            return (f"{self.n}_path_{self.sender}_to_{receiver}_{self.direction}_freeze_"
                    f"{self.freeze}")
        sets = "" if self.sets is None else "sets_"
        name = (f"{self.n}_{self.intervention}_{sets}{self.site}_{self.direction}_"
                f"{self.positions_word}")
        name += f"_window_{self.window}" if self.window > 1 else ""
        return name + ("_complement" if self.complement else "")


def member(label):
    """(layer, head), head None for an MLP, of L0H7 or M3."""
    match = re.fullmatch(r"L(\d+)H(\d+)|M(\d+)", label)
    return (int(match[1]), int(match[2])) if match[1] else (int(match[3]), None)


def receiver(label):
    """(kind, layer, head) of L9H6.q, M7 or logits."""
    if label == "logits":
        return "logits", None, None
    if label.startswith("M"):
        return "mlp", int(label[1:]), None
    return (label[-1], *member(label[:-2]))


def read_row(n, keys):
    keys = dict(keys)
    row = Row(n, keys.pop("intervention"))
    row.direction = "denoise" if row.intervention in WITH_DONOR else "noise"
    alpha = keys.pop("alpha", 1.0)
    row.alphas = alpha if isinstance(alpha, list) else [alpha]
    reference = keys.pop("reference", {})
    row.over, row.by = reference.get("over", "clean"), reference.get("by", "overall")
    if "sets" in keys:
        sets = keys.pop("sets")
        row.sets = {k: [member(m) for m in v] for k, v in sets.items() if k not in RESERVED}
        row.random, row.top = sets.get("random"), sets.get("top")
        row.all_pairs = sets.get("pairs") == "all"
    if isinstance(keys.get("receiver"), list):
        row.receiver = [receiver(r) for r in keys.pop("receiver")]
    keys.pop("min_gap", None)
    for key, value in keys.items():
        assert hasattr(row, key), key
        setattr(row, key, value)
    return row


def read_rows(config):
    """Rows of a run's YAML already parsed."""
    rows = config["sweep"]
    return [read_row(n, keys) for n, keys in enumerate(rows if isinstance(rows, list) else [rows])]


def axes(row, model, max_length):
    """[(name, values)] in the order of the stored axes, without the pair's."""
    out = [("alpha", row.alphas)] if len(row.alphas) > 1 else []
    layers = ("layer", row.layers or range(model.n_layers))

    def heads(chosen, prefix=""):
        return prefix + "head", chosen or range(model.n_heads)

    def kv_heads(chosen, prefix=""):
        return prefix + "kv_head", chosen or range(model.n_kv_heads)

    if row.intervention == "path":
        if row.sender != "embed":
            out.append(("sender_layer", layers[1]))
        if row.sender == "head":
            out.append(heads(row.heads, "sender_"))
        if row.receiver in ("q", "k", "v", "mlp"):
            out.append(("receiver_layer", row.receiver_layers or range(model.n_layers)))
        if row.receiver in ("q", "k", "v"):
            out.append((heads if row.receiver == "q" else kv_heads)(row.receiver_heads,
                                                                    "receiver_"))
        return out
    if row.sets is not None:
        out.append(("set", None))  # filled in when the sets are known
    elif row.site != "embed":
        out.append(layers)
        if row.site in HEAD_SITES:
            kv = row.site in ("k", "v", "k_rot")
            out.append((kv_heads if kv else heads)(row.heads))
        elif row.neurons is not None:
            out.append(("neuron", range(model.d_mlp) if row.neurons == "all" else row.neurons))
    if row.positions in ("each", "each_key"):
        pattern = row.site == "pattern"
        out.append(("query_position" if pattern else "position", range(max_length)))
    if row.positions == "each_key":
        out.append(("key_position", range(max_length)))
    return out


def cells(all_axes):
    """(index, {axis: value}) of every cell, in the order of the stored array."""
    names = [name for name, _ in all_axes]
    for steps in itertools.product(*(range(len(values)) for _, values in all_axes)):
        yield steps, {name: values[i] for name, i, (_, values) in zip(names, steps, all_axes)}
