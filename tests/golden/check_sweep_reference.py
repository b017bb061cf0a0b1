"""What must hold of the sweeps' reference whatever the model: check_sweep_reference.py [MODEL...]

Laws that tie interventions to each other and to plain runs, on the golden models; each is a
statement that a wrong reference would break. (That its arithmetic is right is make_sweeps.py's
business: two independent forward passes agree there.)
"""
import json
import sys
from pathlib import Path

import numpy as np

from engine_reference import load
from sweep_hooks import HEAD_SITES, HookedModel
from sweep_reference import SweepReference
from sweep_rows import read_row

HERE = Path(__file__).resolve().parent


class Laws:
    def __init__(self, folder):
        self.pairs = [json.loads(x) for x in (folder / "mixed.jsonl").read_text().splitlines()]
        model = HookedModel(load(folder))
        self.reference = SweepReference(model, self.pairs)
        swapped = [{**p, "clean": p["corrupted"], "corrupted": p["clean"]} for p in self.pairs]
        self.swapped = SweepReference(model, swapped)
        same = [{**p, "corrupted": p["clean"]} for p in self.pairs]
        self.same = SweepReference(model, same)
        self.model, self.sites = model, [s for s in model.sites() if s != "mlp_pre"]
        self.broken, self.count = 0, 0

    def run(self, reference=None, **keys):
        return (reference or self.reference).expected(read_row(0, {"positions": "all", **keys}))

    def law(self, what, got, expected):
        self.count += 1
        expected = np.broadcast_to(expected, got.shape)
        if not np.allclose(got, expected, rtol=0, atol=1e-9, equal_nan=True):
            self.broken += 1
            print(f"  BROKEN {what}: off by {np.nanmax(np.abs(got - expected)):.3g}")

    def base(self, side, like, reference=None):
        values = (reference or self.reference).base_differences(side)
        values = values.reshape(-1, *[1] * (like.ndim - 1)) + np.zeros_like(like)
        return np.where(np.isnan(like), np.nan, values)

    def check(self):
        for site in self.sites:
            self.of_site(site)
        for site in HEAD_SITES:
            self.of_sets(site)
        self.of_residual()
        self.of_paths()

    def of_site(self, site):
        for positions in ("all", "last", "each", [0, -1], ["verb"]):
            keys = {"site": site, "positions": positions}
            one = self.run(intervention="scale", alpha=1.0, **keys)
            self.law(f"{site} {positions}: scale by 1 is the baseline", one,
                     self.base("clean", one))
            zero = self.run(intervention="zero", **keys)
            self.law(f"{site} {positions}: scale by 0 is zero",
                     self.run(intervention="scale", alpha=0.0, **keys), zero)
            patch = self.run(self.same, intervention="patch", **keys)
            self.law(f"{site} {positions}: patching the same is the baseline", patch,
                     self.base("clean", patch, self.same))
            self.law(f"{site} {positions}: denoise is noise of the swapped pair",
                     self.run(intervention="patch", direction="denoise", **keys),
                     self.run(self.swapped, intervention="patch", direction="noise", **keys))
            wide = self.run(intervention="patch", window=2 * self.model.n_layers + 1, **keys)
            if site != "embed":
                self.law(f"{site} {positions}: a window over everything has one value",
                         wide, wide[:, :1])
        parts = {"layers": [1], **({"heads": [1]} if site in HEAD_SITES else {})}
        if site != "embed":
            whole = self.run(intervention="patch", site=site)
            part = self.run(intervention="patch", site=site, **parts)
            self.law(f"{site}: a part of the grid", part,
                     whole[:, 1:2, 1:2] if "heads" in parts else whole[:, 1:2])

    def of_sets(self, site):
        single = self.run(intervention="patch", site=site)
        pairs = self.run(intervention="patch", site=site, sets={"pairs": "all"})
        n = self.model.n_layers * self.model.n_heads
        self.law(f"{site}: sets of one head are the single sweep", pairs[:, :n],
                 single.reshape(len(single), -1))
        every = [f"L{i}H{h}" for i in range(self.model.n_layers) for h in range(self.model.n_heads)]
        nothing = self.run(intervention="patch", site=site, sets={"every": every}, complement=True)
        self.law(f"{site}: the complement of everything is the baseline", nothing,
                 self.base("corrupted", nothing))
        half = every[::2]
        self.law(f"{site}: a set is the complement of the rest",
                 self.run(intervention="zero", site=site, sets={"a": half}),
                 self.run(intervention="zero", site=site,
                          sets={"a": [m for m in every if m not in half]}, complement=True))

    def of_residual(self):
        sites = ["resid_pre", "resid_post"] + ["resid_mid"] * (not self.model.parallel)
        for site in sites:
            patch = self.run(intervention="patch", site=site)
            self.law(f"{site}: all of the donor's stream is the donor's run", patch,
                     self.base("clean", patch))
        pre = self.run(intervention="zero", site="resid_pre", positions="each")
        post = self.run(intervention="zero", site="resid_post", positions="each")
        self.law("resid_post of a layer is resid_pre of the next", post[:, :-1], pre[:, 1:])
        neurons = self.run(intervention="patch", site="mlp_post", layers=[1], neurons="all")
        whole = self.run(intervention="patch", site="mlp_post", layers=[1])
        out = self.run(intervention="patch", site="mlp_out", layers=[1])
        self.law("patching mlp_post whole is patching mlp_out", whole, out)
        assert neurons.shape[-1] == self.model.d_mlp
        z = self.run(intervention="patch", sets={f"{i}": [f"L{i}H{h}" for h in
                                                          range(self.model.n_heads)]
                                                 for i in range(self.model.n_layers)})
        self.law("patching z of all heads is patching attn_out", z,
                 self.run(intervention="patch", site="attn_out"))

    def of_paths(self):
        last = self.model.n_layers - 1
        for freeze in ("all", "attention"):
            for sender in ("head", "mlp", "embed"):
                keys = {"intervention": "path", "sender": sender, "freeze": freeze}
                for kind in "qkv":
                    whole = self.run(receiver=kind, **keys)
                    one = self.run(receiver=[f"L{last}H1.{kind}"], **keys)
                    self.law(f"path {sender} {kind} {freeze}: a receiver set of one", one,
                             whole[..., last, 1])
                self.law(f"path {sender} logits {freeze}: a receiver set of one",
                         self.run(receiver=["logits"], **keys), self.run(receiver="logits", **keys))
        # the last layer's MLP reaches nothing but the logits, whatever is frozen
        self.law("path from the last MLP to the logits is patching it",
                 self.run(intervention="path", sender="mlp", receiver="logits")[:, -1],
                 self.run(intervention="patch", site="mlp_out")[:, -1])
        both = [f"M{last}", "logits"]
        z = self.run(intervention="patch", site="z")
        if not self.model.parallel:
            self.law("the last layer's heads reach its MLP and the logits only",
                     self.run(intervention="path", sender="head", receiver=both)[:, -1], z[:, -1])
        else:
            self.law("the last layer's heads reach the logits only",
                     self.run(intervention="path", sender="head", receiver="logits")[:, -1],
                     z[:, -1])


def main():
    broken = count = 0
    for folder in [Path(f) for f in sys.argv[1:]] or sorted((HERE / "sweeps").iterdir()):
        laws = Laws(folder)
        laws.check()
        print(f"{folder.name}: {laws.count - laws.broken} laws hold, {laws.broken} are broken")
        broken, count = broken + laws.broken, count + laws.count
    sys.exit(1 if broken or not count else 0)


if __name__ == "__main__":
    main()
