#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# test/golden/record/optimizers.py — records what timm's optimizers make of a small problem in 14 steps, in f64.
#
# usage: optimizers.py --out DIR
# Four parameters in two groups, filled by the formula of test/support/fill.h. The loss is sum(a (p - t)^2 / 2 + cos(3 p)), with a and t
# by the formula, too; the learning rate falls by 4 % of the first one a step. Of each parameter after the last step: sum, sum of
# squares, first, middle and last element. Muon makes matrices orthogonal in bf16; here it is told to do so in f64, and scalars that
# optimizers keep in the default dtype are f64.
import argparse
import json
import pathlib
import warnings

import timm.optim.muon as muon
import torch
from timm.optim import create_optimizer_v2, list_optimizers

from formula import uniform

SHAPES = {"decay.weight": (20, 18), "decay.kernel": (18, 17, 3, 2), "decay.thin": (3, 5), "no_decay.bias": (19,)}
STEPS, LR, DECAY = 14, 0.02, 0.05
EXTERNAL = ("bnb", "fused")
NOT_HERE = ("adahessian", "kron", "kronc", "kronw")


def tensor(name, shape):
    return torch.from_numpy(uniform(name, torch.Size(shape).numel())).double().reshape(shape)


def run(name):
    parameters = {n: tensor(n, s).requires_grad_() for n, s in SHAPES.items()}
    groups = [{"params": [p for n, p in parameters.items() if n.startswith("no_decay")], "weight_decay": 0.0},
              {"params": [p for n, p in parameters.items() if n.startswith("decay")], "weight_decay": DECAY}]
    optimizer = create_optimizer_v2(groups, name, lr=LR, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LR * (1 - 0.04 * step)
        optimizer.zero_grad()
        loss = sum(((1 + tensor(n + ".a", p.shape) / 2) * (p - tensor(n + ".t", p.shape)) ** 2 / 2 + torch.cos(3 * p)).sum()
                   for n, p in parameters.items())
        loss.backward()
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
    plain = muon.zeropower_via_newtonschulz
    muon.zeropower_via_newtonschulz = lambda *args, **kwargs: plain(*args, **kwargs, dtype=torch.float64)
    names = [n for n in list_optimizers() if not n.startswith(EXTERNAL) and n not in NOT_HERE]
    recorded = {n: run(n) for n in names + ["lookahead_adamw", "lookahead_sgd"]}
    path = a.out / "train" / "optimizers.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({n: {k: [float(f"{x:.12g}") for x in v] for k, v in r.items()} for n, r in recorded.items()})
    path.write_text(text.replace("}, ", "},\n") + "\n")
    print(len(names), "names")


main()
