"""Paths in two whole passes (Wang et al. 2022), as the glossary words them.

First pass: the recipient's run with the sender taken from the donor, every head's z as in the
recipient's run (and with `freeze: all` every MLP's output too); what the receivers read is what
they compute there from the changed residual. Second pass: the recipient's run with the receivers'
q, k, v or MLP pre-activation replaced by what they read.
"""
import numpy as np

from sweep_hooks import Injection

SITE = {"q": "q", "k": "k", "v": "v", "mlp": "mlp_pre"}


def exists(parallel, sender_layer, sender, kind, layer):
    """Whether the receiver comes later."""
    if sender == "embed" or kind == "logits":
        return True
    if layer != sender_layer:
        return layer > sender_layer
    return kind == "mlp" and sender == "head" and not parallel


def always(value):
    return lambda own: value


def first_pass(reference, row, b, layer, head, positions):
    """Injections that patch the sender and freeze the rest."""
    def value(side, site, i):
        return reference.values(b, side, site, i)

    injections = []
    for i in range(reference.model.n_layers):
        z = value(row.recipient, "z", i).copy()
        if row.sender == "head" and i == layer:
            z[positions, head] = value(row.donor, "z", i)[positions, head]
        injections.append(Injection("z", i, np.True_, always(z)))
        mlp = value(row.recipient, "mlp_out", i).copy()
        mine = row.sender == "mlp" and i == layer
        if mine:
            mlp[positions] = value(row.donor, "mlp_out", i)[positions]
        if row.freeze == "all":
            injections.append(Injection("mlp_out", i, np.True_, always(mlp)))
        elif mine:
            injections.append(Injection("mlp_out", i, positions[:, None, None], always(mlp)))
    if row.sender == "embed":
        injections.append(Injection("embed", 0, positions[:, None, None],
                                    always(value(row.donor, "embed", 0))))
    return injections


def second_pass(reference, row, b, receivers, read):
    """Injections of what was read; read: {place: [T, index, width]} of the first pass."""
    injections = []
    for kind, layer, head in receivers:
        if kind == "logits":
            last = reference.model.n_layers - 1
            change = read["resid_post", last] \
                - reference.values(b, row.recipient, "resid_post", last)
            injections.append(Injection("resid_post", last, np.True_,
                                        lambda own, change=change: own + change))
            continue
        value = read[SITE[kind], layer]
        mask = np.True_ if head is None else (np.arange(value.shape[1]) == head)[:, None]
        injections.append(Injection(SITE[kind], layer, mask, always(value)))
    return injections


def cell_receivers(row, cell):
    if not isinstance(row.receiver, str):
        return row.receiver
    return [(row.receiver, cell.get("receiver_layer"),
             cell.get("receiver_head", cell.get("receiver_kv_head")))]


def differences(reference, row, b, cells):
    """LD of each cell of a pair, NaN where there is no path."""
    model, out = reference.model, [np.nan] * len(cells)
    positions = reference.positions(row, b, {})
    if positions is None:
        return out
    positions = positions[:, 0, 0]
    ids = reference.pairs[b][row.recipient]
    senders = {}
    for n, cell in enumerate(cells):
        sender = cell.get("sender_layer"), cell.get("sender_head")
        receivers = [r for r in cell_receivers(row, cell)
                     if exists(model.parallel, sender[0], row.sender, r[0], r[1])]
        if receivers:
            senders.setdefault(sender, []).append((n, receivers))
    places = [(site, i) for site in SITE.values() for i in range(model.n_layers)]
    places.append(("resid_post", model.n_layers - 1))
    for (layer, head), found in senders.items():
        first = first_pass(reference, row, b, layer, head, positions)
        logits, read = model.run(ids, [first], places)
        read = {place: value[0] for place, value in read.items()}
        if row.receiver == "logits":
            out[found[0][0]] = reference.measure(row, b, logits)[0]
            continue
        second = [second_pass(reference, row, b, receivers, read) for _, receivers in found]
        logits, _ = model.run(ids, second)
        for (n, _), value in zip(found, reference.measure(row, b, logits)):
            out[n] = value
    return out
