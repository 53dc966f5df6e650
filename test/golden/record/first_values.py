# SPDX-License-Identifier: Apache-2.0
"""first_values.py — records how timm's initialisers leave one fresh model of each family.

Writes test/golden/first_values/<module>.json: for each floating entry of the state dict its one value where all elements are the same, else mean,
standard deviation and kurtosis, which tells uniform values from normal and truncated ones. Needs torch and timm.
"""
import json

import torch

from recorder import create, record

torch.set_num_threads(1)


def figures(t):
    v = t.double().flatten()
    if bool((v == v[0]).all()):
        return [float(v[0])]
    # torch's truncated normal maps the one lowest of 2^24 uniform values to its bound, a hundred deviations away.
    # Where many lie that far off, as where half of a gated layer starts near zero, they are what the initialiser wants.
    near = v[v.abs() <= 20 * v.abs().median()]
    v = near if near.numel() > 0.99 * v.numel() else v
    deviation = v.std(unbiased=False)
    kurtosis = ((v - v.mean()) / deviation).pow(4).mean()
    return [float(f"{float(x):.7g}") for x in (v.mean(), deviation, kurtosis)]


def entry(name, kwargs=None):
    torch.manual_seed(0)
    state = create(name, **(kwargs or {})).state_dict()
    rows = [f"  {json.dumps(key)}: {json.dumps(figures(t))}" for key, t in state.items() if t.is_floating_point()]
    head = json.dumps({"name": name, "kwargs": kwargs} if kwargs else {"name": name})
    return f'{head[:-1]}, "values": {{\n' + ",\n".join(rows) + "\n }}"


if __name__ == "__main__":
    record("first_values", entry)
