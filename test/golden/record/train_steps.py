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

import timm
import torch

from formula import fill, image


def losses(model, steps=20, batch=8, size=64):
    model.train()
    x, y = image(batch, 3, size, size), torch.arange(batch) * 7 % 1000
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
