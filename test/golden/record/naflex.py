# SPDX-License-Identifier: Apache-2.0
"""naflex.py — records what timm's sequence transforms give, and what models answer to sequences of patches.

Writes test/golden/data/sequence.tsv: for an image of the formula of resize_transform.py, limits of a sequence and what is done to it, the size
and a hash (64-bit FNV-1a) of what comes out: bytes of a resized or cropped image, or the f32 of patches. A draw is where a random crop begins.
Writes test/golden/naflex.json: models with weights of formula.py, and batches of parts of photos, of several aspect ratios, that went through
timm's evaluation transform and collator; figures of the logits of each batch, from f32, and how far f64 is from them.
Writes test/golden/naflex_more.json: figures of logits for patches of other sizes than the model's, and of tokens behind some of its blocks (those of
valid patches alone).
Writes test/golden/naflex_names.tsv: of each ViT and EVA with use_naflex the number of parameters and the hash (64-bit FNV-1a) of the lines
that describe its state dict; names that timm itself cannot make so have dashes.
Needs torch, torchvision, timm and Pillow.
"""
import json
import math
import pathlib
import random
from unittest import mock

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import naflex_transforms as nt
from timm.data.naflex_dataset import NaFlexCollator
from timm.data.transforms_factory import transforms_imagenet_eval

from formula import fill
from recorder import create
from resize_transform import fnv1a, pattern
from variations import figure

torch.set_num_threads(1)
TARGET = pathlib.Path(__file__).resolve().parents[1]


def hashed(image):
    return fnv1a(image.tobytes() if hasattr(image, "tobytes") else np.ascontiguousarray(image.numpy()).tobytes())


def record_transforms(count=120):
    rng = random.Random(20260803)
    lines = ["# seed channels in_width in_height patch_h patch_w max_seq_len op filter arguments height width fnv1a"]
    for seed in range(count):
        w, h = rng.randint(20, 300), rng.randint(20, 300)
        channels, ph = rng.choice([1, 3]), rng.choice([4, 8, 16])
        pw = ph if rng.random() < 0.7 else rng.choice([4, 8, 16])
        length, name = rng.choice([4, 16, 49, 64, 100, 196]), rng.choice(["bilinear", "bicubic", "lanczos"])
        image, patch = pattern(seed, w, h, channels), (ph, pw)
        op = rng.choice(["resize", "keep", "center", "random", "patchify"])
        argument = 0
        if op == "resize":
            argument = rng.choice([0, 1.0, 1.5])
            out = nt.ResizeToSequence(patch, length, max_ratio=argument or None, interpolation=name)(image)
        elif op == "keep":
            argument = rng.choice([0, 0.5, 1.0])
            out = nt.ResizeKeepRatioToSequence(patch, length, longest=argument, interpolation=name)(image)
        elif op == "center":
            argument = rng.choice([0, 7])
            out = nt.CenterCropToSequence(patch, length, fill=argument)(image)
        elif op == "random":
            share = rng.random()
            with mock.patch.object(nt.random, "randint", lambda a, b: int(share * (b - a))):
                transform = nt.RandomCropToSequence(patch, length)
                size = nt.get_image_size_for_seq((h, w), patch, length, True, max_ratio=1.0)[1]
                top, left = transform.get_params(image, size)
                argument = f"{top},{left}"
                out = transform(image)
        else:
            argument = rng.choice([0, 1])
            t = torch.from_numpy(np.asarray(image).copy()).float().reshape(h, w, channels).permute(2, 0, 1)
            out = nt.patchify_image(t, patch, channels_last=bool(argument))[0]
        height, width = (out.shape if op == "patchify" else (out.height, out.width))
        lines.append(" ".join(map(str, [seed, channels, w, h, ph, pw, length, op, name, argument, height, width, hashed(out)])))
    (TARGET / "data/sequence.tsv").write_text("\n".join(lines) + "\n")


# Parts of photos of docs/images: left, top, width, height; aspect ratios from 1:4 to 4:1.
PHOTOS = [("coffee.png", 0, 120, 600, 150), ("chelsea.png", 180, 0, 75, 300), ("chelsea.png", 60, 20, 220, 200), ("coffee.png", 0, 0, 600, 400),
          ("coffee.png", 250, 0, 130, 360), ("chelsea.png", 100, 22, 256, 256)]
SMALL = dict(embed_dim=64, depth=3, num_heads=4, num_classes=10)
MODELS = [
    ("naflexvit_base_patch16_gap", SMALL),
    ("naflexvit_base_patch16_par_gap", SMALL),
    ("naflexvit_base_patch16_parfac_gap", SMALL),
    ("naflexvit_base_patch16_map", dict(SMALL, pool_include_prefix=True)),
    ("naflexvit_base_patch16_siglip", SMALL),
    ("naflexvit_base_patch16_radio_v3", SMALL),
    ("naflexvit_so400m_patch16_radio_v4", SMALL),
    ("naflexvit_base_patch16_gap", dict(SMALL, pos_embed_use_grid_sample=True, global_pool="avgmax")),
    ("naflexvit_base_patch16_gap", dict(SMALL, pos_embed_antialias=False, global_pool="max", pos_embed_align_corners=True)),
    ("vit_tiny_patch16_224", dict(SMALL, use_naflex=True)),
    ("vit_base_patch16_rope_reg1_gap_256", dict(SMALL, use_naflex=True)),
    ("vit_small_patch16_rope_mixed_224", dict(SMALL, use_naflex=True)),
    ("vit_small_patch16_dinov3", dict(SMALL, use_naflex=True)),
    ("eva02_tiny_patch14_224", dict(SMALL, embed_dim=48, use_naflex=True)),
    ("vit_base_patch16_clip_224", dict(SMALL, use_naflex=True)),
    ("gemma4_vit_167m", dict(SMALL, head_dim=16, intermediate_size=96)),
]
# The longest sequence, and which photos make a batch.
BATCHES = [(64, [0]), (64, [1]), (256, [2]), (576, [3]), (1024, [4]), (1024, [0]), (256, [0, 1, 2, 3, 4, 5]), (64, [5, 1, 0])]


def photo(name, left, top, width, height):
    return Image.open(TARGET.parents[1] / "docs/images" / name).convert("RGB").crop((left, top, left + width, top + height))


def sequences(model, length, photos, patch=None):
    cfg = model.pretrained_cfg
    patch = patch or model.get_patch_size()
    transform = transforms_imagenet_eval(img_size=cfg["input_size"][-2:], interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3, naflex=True,
                                         patch_size=patch, max_seq_len=length, patchify=True)
    collate = NaFlexCollator(max_seq_len=length)
    return collate([(transform(photo(*PHOTOS[i])), 0) for i in photos])[0]


def answer(model, batch, dtype):
    model = model.to(dtype)
    with torch.no_grad():
        return model({**batch, "patches": batch["patches"].to(dtype)})


def case(name, kwargs):
    model = create(name, **kwargs).eval()
    fill(model)
    entry = dict(name=name, kwargs=kwargs, photos=PHOTOS, batches=[])
    for length, photos in BATCHES:
        batch = sequences(model, length, photos)
        exact, single = answer(model, batch, torch.float64), answer(model.float(), batch, torch.float32)
        off = ((exact - single).abs().max() / exact.abs().max()).item()
        entry["batches"].append(dict(length=length, photos=photos, patches=[int(v.sum()) for v in batch["patch_valid"]],
                                     off=float(f"{off:.2g}"), logits=[figure(row, 10) for row in single]))
    return json.dumps(entry)


def structure(name):
    try:
        with torch.device("meta"):
            model = timm.create_model(name, use_naflex=True)
    except (TypeError, ValueError, AssertionError, RuntimeError):
        return f"{name} - -"
    parameters = {n for n, _ in model.named_parameters()}
    lines = [f"{k}\t{','.join(map(str, t.shape))}\t{str(t.dtype).removeprefix('torch.')}\t{'p' if k in parameters else 'b'}\n"
             for k, t in model.state_dict().items()]
    return f"{name} {sum(p.numel() for p in model.parameters())} {fnv1a(''.join(lines).encode())}"


def record_structures():
    names = [n for module in ("vision_transformer", "eva") for n in timm.list_models(module=module)]
    (TARGET / "naflex_names.tsv").write_text("# name parameters fnv1a\n" + "\n".join(map(structure, names)) + "\n")


FLEXIBLE = dict(SMALL, enable_patch_interpolator=True)
PATCHES = [
    ("naflexvit_base_patch16_gap", FLEXIBLE, [(8, 8), (14, 14), (24, 16)]),
    ("naflexvit_base_patch16_siglip", FLEXIBLE, [(12, 12), (32, 32)]),
    ("vit_base_patch16_rope_reg1_gap_256", dict(FLEXIBLE, use_naflex=True), [(20, 10)]),
]
LEVELS = [
    ("naflexvit_base_patch16_gap", SMALL, [0, 2], True),
    ("naflexvit_so400m_patch16_radio_v4", SMALL, [1, -1], False),
    ("vit_small_patch16_dinov3", dict(SMALL, use_naflex=True), [1], True),
]


def other_patches(name, kwargs, sizes):
    model = create(name, **kwargs).eval()
    fill(model)
    entry = dict(name=name, kwargs=kwargs, photos=PHOTOS, batches=[])
    for patch in sizes:
        batch = sequences(model, 100, [0, 4, 5], patch)
        batch["patches"] = batch["patches"].reshape(*batch["patches"].shape[:2], *patch, 3)
        entry["batches"].append(dict(length=100, photos=[0, 4, 5], patch=patch, logits=[figure(row, 10) for row in answer(model, batch, torch.float32)]))
    return json.dumps(entry)


def levels(name, kwargs, indices, norm):
    model = create(name, **kwargs).eval()
    fill(model)
    entry = dict(name=name, kwargs=kwargs, photos=PHOTOS, indices=indices, norm=norm, length=64, photo=[5, 1])
    with torch.no_grad():
        found = model.forward_intermediates(sequences(model, 64, [5, 1]), indices=indices, norm=norm, return_prefix_tokens=True, output_fmt="NLC",
                                            intermediates_only=True, output_dict=True)
    valid = found["patch_valid"]
    entry["features"] = [figure(t[valid], 10) for t in found["image_intermediates"]]
    entry["prefix"] = [figure(t, 10) for t in found.get("image_intermediates_prefix", [])]
    return json.dumps(entry)


def record_more():
    lines = [other_patches(*p) for p in PATCHES] + [levels(*p) for p in LEVELS]
    (TARGET / "naflex_more.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    record_more()
    record_structures()
    record_transforms()
    (TARGET / "naflex.json").write_text("[\n" + ",\n".join(case(*c) for c in MODELS) + "\n]\n")
