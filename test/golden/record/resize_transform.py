# SPDX-License-Identifier: Apache-2.0
"""resize_transform.py — records what Pillow's resize, torchvision and timm's evaluation transform give.

Writes test/golden/data/{resize,transform}.tsv. Inputs come from a formula that test/data/pattern.h repeats, so only
hashes (64-bit FNV-1a) of the results are kept. Needs Pillow, torch, torchvision, timm and numpy.
"""
import pathlib
import random

import numpy as np
from PIL import Image

FILTERS = {"nearest": 0, "box": 4, "bilinear": 2, "hamming": 5, "bicubic": 3, "lanczos": 1}
TARGET = pathlib.Path(__file__).resolve().parents[1] / "data"


def fnv1a(data):
    value = 0xCBF29CE484222325
    for b in data:
        value = (value ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def pattern(seed, width, height, channels):
    """Noise for even seeds, a wrapping slope with a little noise for odd ones."""
    with np.errstate(over="ignore"):
        z = np.arange(width * height * channels, dtype=np.uint64)
        z += np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    noise = (z >> np.uint64(56)).astype(np.int64).reshape(height, width, channels)
    if seed % 2:
        y, x, c = np.indices(noise.shape)
        noise = x * 3 + y * 5 + c * 40 + (noise & 15)
    array = (noise & 255).astype(np.uint8)
    return Image.fromarray(array[:, :, 0] if channels == 1 else array)


def size(rng, most):
    return rng.choice([rng.randint(1, 8), rng.randint(1, most), rng.randint(1, most)])


def record_resize(count=500):
    rng = random.Random(20260801)
    lines = ["# seed channels in_width in_height filter out_width out_height left top right bottom fnv1a"]
    for seed in range(count):
        channels, name = rng.choice([1, 3]), rng.choice(list(FILTERS))
        w, h, ow, oh = (size(rng, 90) for _ in range(4))
        if rng.random() < 0.1:
            ow = w
        if rng.random() < 0.1:
            oh = h
        box = (0.0, 0.0, float(w), float(h))
        if rng.random() < 0.35:
            quarter = lambda a, b: rng.randint(int(a * 4), int(b * 4)) / 4    # exact as a float and in text
            left, top = quarter(0, w - 1), quarter(0, h - 1)
            box = (left, top, quarter(left + 0.25, w), quarter(top + 0.25, h))
        out = pattern(seed, w, h, channels).resize((ow, oh), FILTERS[name], box=box)
        lines.append(" ".join(map(str, [seed, channels, w, h, name, ow, oh, *box, fnv1a(out.tobytes())])))
    (TARGET / "resize.tsv").write_text("\n".join(lines) + "\n")


def record_transform(count=160):
    from timm.data import create_transform
    rng = random.Random(20260802)
    lines = ["# seed in_channels in_width in_height channels height width filter crop_pct crop_mode mean std"
             " fnv1a(crop) fnv1a(tensor)"]
    means = [(0.485, 0.456, 0.406), (0.5, 0.5, 0.5), (0.3, 0.1, 0.7), (0.48145466, 0.4578275, 0.40821073)]
    stds = [(0.229, 0.224, 0.225), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), (0.26862954, 0.26130258, 0.27577711)]
    for seed in range(count):
        w, h = rng.randint(20, 160), rng.randint(20, 160)
        in_channels, channels = rng.choice([1, 3, 3]), rng.choice([1, 3, 3])
        height = rng.randint(16, 96)
        width = height if rng.random() < 0.6 else rng.randint(16, 96)
        name = rng.choice(["bilinear", "bicubic", "bicubic", "nearest", "lanczos"])
        crop_pct = rng.choice([0.875, 0.8, 0.9, 0.95, 0.96, 1.0, 0.7, 1.15])
        crop_mode = rng.choice(["center", "center", "squash", "border"])
        mean, std = rng.choice(means)[:channels], rng.choice(stds)[:channels]
        image = pattern(seed, w, h, in_channels).convert("RGB" if channels == 3 else "L")
        arguments = dict(input_size=(channels, height, width), interpolation=name, crop_pct=crop_pct,
                         crop_mode=crop_mode, mean=mean, std=std)
        crop = create_transform(**arguments, normalize=False)(image).permute(1, 2, 0).contiguous().numpy()
        tensor = create_transform(**arguments)(image).contiguous().numpy()
        lines.append(" ".join(map(str, [seed, in_channels, w, h, channels, height, width, name, crop_pct, crop_mode,
                                        ",".join(map(str, mean)), ",".join(map(str, std)),
                                        fnv1a(crop.tobytes()), fnv1a(tensor.tobytes())])))
    (TARGET / "transform.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    TARGET.mkdir(exist_ok=True)
    record_resize()
    record_transform()
