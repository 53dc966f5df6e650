#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# test/golden/record/train_steps.py — records the losses of 20 SGD steps of tf_efficientnet_lite0 as PyTorch takes them.
#
# usage: train_steps.py --out DIR [--weights lite0.safetensors]
# Train mode, 64 x 64 pixels, batch 8, SGD lr 0.01, momentum 0.9, weight decay 1e-4, one group; the target of image i is 7 i mod 1000.
# "formula": weights and input by the formula of test/support/fill.h. "real": the same input, ImageNet weights under timm's names
# (`fovea convert efficientnet-lite0.pth lite0.safetensors --model tf_efficientnet_lite0`); kept as it is when no weights are given.
import argparse
import json
import pathlib

import numpy
import timm
import torch

MASK = (1 << 64) - 1


def fnv1a(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def uniform(name, n):
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(fnv1a(name)) + numpy.arange(1, n + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z ^= z >> numpy.uint64(31)
    return (z >> numpy.uint64(40)).astype(numpy.float32) * numpy.float32(2.0**-23) - numpy.float32(1)


def offset_and_scale(name, shape, gain):
    last = name.rsplit(".", 1)[-1]
    if len(shape) >= 2 and shape[0] == 1:
        return 0.0, 0.5
    if len(shape) >= 2 and numpy.prod(shape[1:]) > 1:
        return 0.0, (3 * (gain if len(shape) == 4 else 1) / float(numpy.prod(shape[1:]))) ** 0.5
    return (0.0, 0.1) if "bias" in last or "mean" in last else (1.0, 0.25)


def fill(model, gain):
    def values(name, t, offset, scale):
        u = uniform(name, t.numel()).reshape(t.shape)
        return torch.from_numpy(numpy.float32(offset) + numpy.float32(scale) * u)

    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(values(name, p, *offset_and_scale(name, tuple(p.shape), gain)))
        for name, b in model.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(values(name, b, 0, 0.1))
            elif name.endswith("running_var"):
                b.copy_(values(name, b, 1, 0.25))


def images(batch, size):
    b, c, h, w = numpy.ix_(range(batch), range(3), range(size), range(size))
    sine = numpy.sin(2 * numpy.pi * ((c + 1) * h / size + (b + 2) * w / size)).astype(numpy.float32)
    return torch.from_numpy(numpy.float32(0.5) * uniform("input", sine.size).reshape(sine.shape) + sine)


def losses(model, steps=20, batch=8, size=64):
    model.train()
    x, y = images(batch, size), torch.arange(batch) * 7 % 1000
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    out = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        out.append(float(f"{loss.item():.8g}"))
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--weights")
    a = parser.parse_args()
    torch.set_num_threads(1)
    path = a.out / "real" / "train_steps.json"
    recorded = json.loads(path.read_text()) if path.exists() else {}
    model = timm.create_model("tf_efficientnet_lite0")
    fill(model, 2.0)
    recorded["formula"] = losses(model)
    if a.weights:
        recorded["real"] = losses(timm.create_model("tf_efficientnet_lite0", checkpoint_path=a.weights))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(recorded, indent=1) + "\n")


main()
