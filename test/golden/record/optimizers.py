#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# test/golden/record/optimizers.py — records what timm's optimizers make of a small problem in 14 steps, in f64.
#
# usage: optimizers.py --out DIR
# Four parameters in two groups, filled by the formula of test/support/fill.h. The loss is sum(a (p - t)^2 / 2 + cos(3 p)), with a and t
# by the formula, too; the learning rate falls by 4 % of the first one a step. Of each parameter after the last step: sum, sum of
# squares, first, middle and last element. Muon makes matrices orthogonal in bf16; here it is told to do so in f64, and scalars that
# optimizers keep in the default dtype are f64. What Kron and AdaHessian draw are numbers by the formula, called "draw.STEP.PLACE";
# of AdaHessian their signs. Kron balances in the steps 3, 8 and 13, and solves in f64.
import argparse
import json
import pathlib
import warnings

import timm.optim.kron as kron
import timm.optim.muon as muon
import torch
from timm.optim import create_optimizer_v2, list_optimizers

from formula import uniform

SHAPES = {"decay.weight": (20, 18), "decay.kernel": (18, 17, 3, 2), "decay.thin": (3, 5), "no_decay.bias": (19,)}
STEPS, LR, DECAY = 14, 0.02, 0.05
EXTERNAL = ("bnb", "fused")
ORDER = ("no_decay.bias", "decay.weight", "decay.kernel", "decay.thin")


def tensor(name, shape):
    return torch.from_numpy(uniform(name, torch.Size(shape).numel())).double().reshape(shape)


class Draws:
    """Stands for torch.randn and torch.randint, and for Kron's random.Random."""

    def __init__(self):
        self.calls = {"normal": 0, "sign": 0, "balance": 0}

    def take(self, kind, shape):
        step, place = divmod(self.calls[kind], len(ORDER))
        self.calls[kind] += 1
        return tensor(f"draw.{step}.{place}", shape)

    def randn(self, shape, **_):
        return self.take("normal", tuple(shape))

    def randint(self, low, high, size, **_):
        return (self.take("sign", tuple(size)) > 0).double()

    def random(self):
        step = self.calls["balance"] // len(ORDER)
        self.calls["balance"] += 1
        return 0.0 if step % 5 == 2 else 1.0


def solve_right(x, a):
    return torch.linalg.solve_triangular(a, x.reshape(-1, x.size(-1)), upper=True, left=False).reshape_as(x)


def run(name):
    draws = Draws()
    kept = torch.randn, torch.randint
    if name.startswith("kron") or name == "adahessian":
        torch.randn, torch.randint = draws.randn, draws.randint
    try:
        return steps(name, draws)
    finally:
        torch.randn, torch.randint = kept


def steps(name, draws):
    parameters = {n: tensor(n, s).requires_grad_() for n, s in SHAPES.items()}
    groups = [{"params": [p for n, p in parameters.items() if n.startswith("no_decay")], "weight_decay": 0.0},
              {"params": [p for n, p in parameters.items() if n.startswith("decay")], "weight_decay": DECAY}]
    optimizer = create_optimizer_v2(groups, name, lr=LR, weight_decay=0.0)
    if name.startswith("kron"):
        optimizer.rng = draws
        optimizer._calc_A_and_conjB, optimizer._q_terms = kron._calc_A_and_conjB, kron._q_terms
        optimizer._precond_grad, optimizer._balance_Q = kron._precond_grad, kron._balance_Q
    losses = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LR * (1 - 0.04 * step)
        optimizer.zero_grad()
        loss = sum(((1 + tensor(n + ".a", p.shape) / 2) * (p - tensor(n + ".t", p.shape)) ** 2 / 2 + torch.cos(3 * p)).sum()
                   for n, p in parameters.items())
        loss.backward(create_graph=getattr(optimizer, "is_second_order", False))
        optimizer.step()
        losses.append(loss.item())
    out = {"losses": losses}
    for n, p in parameters.items():
        v = p.detach().flatten()
        out[n] = [v.sum().item(), (v * v).sum().item(), v[0].item(), v[v.numel() // 2].item(), v[-1].item()]
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, required=True)
    a = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    warnings.simplefilter("ignore")
    kron._solve_triangular_right = solve_right
    plain = muon.zeropower_via_newtonschulz
    muon.zeropower_via_newtonschulz = lambda *args, **kwargs: plain(*args, **kwargs, dtype=torch.float64)
    names = [n for n in list_optimizers() if not n.startswith(EXTERNAL)]
    recorded = {n: run(n) for n in names + ["lookahead_adamw", "lookahead_sgd"]}
    path = a.out / "train" / "optimizers.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({n: {k: [float(f"{x:.12g}") for x in v] for k, v in r.items()} for n, r in recorded.items()})
    path.write_text(text.replace("}, ", "},\n") + "\n")
    print(len(names), "names")


main()
