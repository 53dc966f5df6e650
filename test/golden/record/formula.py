# SPDX-License-Identifier: Apache-2.0
"""formula.py — the formula of test/support/fill.h in Python: what the recorders of this folder fill weights and images with."""
import math

import numpy as np
import torch

MASK = (1 << 64) - 1


def fnv1a(data, h=0xCBF29CE484222325):
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def uniform(name, n):
    """n values in [-1, 1), f32, from splitmix64."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a(name.encode())) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)).astype(np.float32)


def rule(name, tensor, trained, gain=1):
    """Offset and scale of the values, None: keep them."""
    last = name.rsplit(".", 1)[-1]
    if not trained:
        return {"running_mean": (0, 0.1), "running_var": (1, 0.25)}.get(last)
    if tensor.ndim >= 2:
        fan = tensor.numel() // tensor.shape[0]
        if tensor.shape[0] == 1:
            return 0, 0.5
        if fan > 1:
            return 0, np.float32(math.sqrt(3 * (gain if tensor.ndim == 4 else 1) / fan))
    return (0, 0.1) if "bias" in last or "mean" in last else (1, 0.25)


def fill(model, gain=1):
    """Gives parameters and running statistics their values by name. `gain` scales the variance of convolutions' weights."""
    named = [(n, t, True) for n, t in model.named_parameters()] + [(n, t, False) for n, t in model.named_buffers()]
    with torch.no_grad():
        for name, tensor, trained in named:
            how = rule(name, tensor, trained, gain)
            if how:
                values = np.float32(how[0]) + np.float32(how[1]) * uniform(name, tensor.numel())
                tensor.copy_(torch.from_numpy(values).reshape(tensor.shape))


def image(b, c, h, w):
    u = uniform("input", b * c * h * w).reshape(b, c, h, w)
    at = np.ix_(*(np.arange(n, dtype=np.float64) for n in (b, c, h, w)))
    wave = np.sin(2 * np.pi * ((at[1] + 1) * at[2] / h + (at[0] + 2) * at[3] / w)).astype(np.float32)
    return torch.from_numpy(np.float32(0.5) * u + wave)


def spread(n, most):
    """Where samples of n values are taken: up to `most` indices, first and last included."""
    k = min(n, most)
    return [0] if k == 1 else [i * (n - 1) // (k - 1) for i in range(k)]
