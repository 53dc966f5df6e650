#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# test/golden/record/train_steps.py — records the losses of 20 SGD steps of tf_efficientnet_lite0 as PyTorch takes them.
#
# usage: train_steps.py --out DIR [--weights lite0.safetensors]
# Train mode, 64 x 64 pixels, batch 8, SGD, momentum 0.9, weight decay 1e-4, one group; the target of image i is 7 i mod 1000.
# These steps are chaotic: the kinks of ReLU6 and the norms' statistics over few pixels make a rounding grow a hundredfold a step, so
# that PyTorch's own f32 losses at lr 0.01 differ from its f64 losses by 0.4 after four steps. Hence two runs, in which PyTorch agrees
# with itself whatever the number of threads: f64 with steps that learn the batch by heart, and f32 with steps so small that roundings
# do not grow.
# "formula": weights and input by the formula of test/support/fill.h. "real": the same input, ImageNet weights under timm's names
# (`fovea convert efficientnet-lite0.pth lite0.safetensors --model tf_efficientnet_lite0`); kept as it is when no weights are given.
import argparse
import json
import pathlib

import timm
import torch

from formula import fill, image


RATES = {"formula": {"f64": 1e-4, "f32": 3e-7}, "real": {"f64": 1e-2, "f32": 3e-7}}


def losses(model, dtype, lr, steps=20, batch=8, size=64):
    model.to(dtype).train()
    x, y = image(batch, 3, size, size).to(dtype), torch.arange(batch) * 7 % 1000
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)
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
    for kind in ["formula"] + (["real"] if a.weights else []):
        recorded[kind] = {}
        for name, dtype in ("f64", torch.float64), ("f32", torch.float32):
            model = timm.create_model("tf_efficientnet_lite0", checkpoint_path=a.weights if kind == "real" else "")
            if kind == "formula":
                fill(model, 2.0)
            lr = RATES[kind][name]
            recorded[kind][name] = {"lr": lr, "losses": losses(model, dtype, lr)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(recorded, indent=1) + "\n")


main()
