#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# test/golden/record/explain.py — records what PyTorch makes of where models look: attention rollout, heads of the last block, Grad-CAM.
#
# usage: explain.py --out DIR
# Weights and the image are filled by formula.py. Rollout: https://arxiv.org/abs/2005.00928, the softmax of each block's attention as timm
# computes it without its fused kernel, (mean over heads + 1) / 2, multiplied up, and of the product the row of the class token, or the mean
# of all patches' where the model pools by it. Grad-CAM: https://arxiv.org/abs/1610.02391 on forward_features(), of the most probable class.
import argparse
import json
import pathlib

import timm
import torch

from formula import fill, image


def attention(name, **kwargs):
    model = timm.create_model(name, **kwargs).eval()
    fill(model)
    maps = []
    for block in model.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda m, x, y: maps.append(x[0][0]))
    x = image(1, 3, *model.patch_embed.img_size)
    with torch.no_grad():
        model(x)
    tokens, prefix = maps[0].shape[-1], model.num_prefix_tokens
    row = torch.zeros(1, tokens)
    if model.global_pool == "token":
        row[0, 0] = 1
    else:
        row[0, prefix:] = 1 / (tokens - prefix)
    rollout = row
    for a in reversed(maps):
        rollout = rollout @ (a.mean(0) + torch.eye(tokens)) / 2
    return {"model": name, "kwargs": kwargs, "grid": list(model.patch_embed.grid_size), "rollout": rollout[0, prefix:].tolist(),
            "heads": (row @ maps[-1])[:, 0, prefix:].flatten().tolist()}


def activation(name, size, gain):
    model = timm.create_model(name).eval()
    fill(model, gain)
    features = model.forward_features(image(1, 3, size, size)).detach().requires_grad_()
    logits = model.forward_head(features)
    label = logits.argmax().item()
    logits[0, label].backward()
    weights = features.grad.mean((2, 3), keepdim=True)
    cam = (weights * features).sum(1)[0].clamp_min(0)
    return {"model": name, "size": size, "gain": gain, "label": label, "shape": list(cam.shape),
            "map": (cam / cam.max()).flatten().tolist()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("test/golden"))
    out = parser.parse_args().out / "explain.json"
    vits = [attention("test_vit"), attention("test_vit", global_pool="avg", class_token=False)]
    nets = [activation("test_resnet", 96, 1), activation("test_efficientnet", 128, 2)]
    out.write_text(json.dumps({"attention": vits, "activation": nets}, indent=1) + "\n")


main()
