# SPDX-License-Identifier: Apache-2.0
"""augment.py — records what timm's augmentations make of images with Pillow, and what was drawn for it.

Writes test/golden/data/{augment,policies,erasing,mixtures}.tsv, or with --to FOLDER and --cases N more of them there;
FOVEA_AUGMENT_CASES=FOLDER has the tests look there. Images come from test/data/pattern.h's formula, so only hashes of
results are kept. Needs Pillow, torch, timm and numpy.
"""
import argparse
import pathlib
import random

import numpy as np
import torch
from timm.data import auto_augment as aa
from timm.data.mixup import FastCollateMixup, Mixup
from timm.data.random_erasing import RandomErasing
from PIL import Image

from draws import recording
from resize_transform import TARGET, fnv1a, pattern

INTERPOLATIONS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "nearest": Image.NEAREST}


def black(posterize):
    """Pillow 13 refuses to keep no bits at all, which timm's Posterize asks for; before, that was black."""
    return lambda img, bits, **kwargs: Image.new(img.mode, img.size) if bits < 1 else posterize(img, bits, **kwargs)


for key in ("Posterize", "PosterizeIncreasing", "PosterizeOriginal"):
    aa.NAME_TO_OP[key] = black(aa.NAME_TO_OP[key])


def shaped(seed, width, height, channels, look):
    image = pattern(seed, width, height, channels)
    return {"plain": lambda i: i, "few": lambda i: i.point(lambda v: v & 0xC0),
            "pale": lambda i: i.point(lambda v: 96 + v // 8)}[look](image)


def image_for(rng):
    seed, channels = rng.randrange(1 << 16), rng.choice([1, 3, 3])
    most = rng.choice([6, 40, 40, 40, 40])
    width, height = rng.randint(1, most), rng.randint(1, most)
    if rng.random() < 0.3:
        height = width
    look = rng.choice(["plain"] * 8 + ["few", "pale"])
    return shaped(seed, width, height, channels, look), [seed, channels, width, height, look]


def fill_of(channels, fill):
    return fill if channels == 3 else fill[0]


def record_ops(cases):
    rng = random.Random(20261201)
    lines = ["# operation magnitude std max translate interpolation fill seed channels width height look draws fnv1a"]
    for name in aa.NAME_TO_OP:
        for _ in range(cases):
            image, described = image_for(rng)
            magnitude = rng.choice([0, 10, rng.randint(0, 10), rng.uniform(0, 10), rng.uniform(0, 30)])
            std, most = rng.choice([0, 0, 0.5, 3.0, float("inf")]), rng.choice([10, 10, 10, 30])
            translate, interpolation = rng.randint(1, 60), rng.choice(["random", *INTERPOLATIONS])
            fill = tuple(rng.randrange(256) for _ in range(3))
            hparams = {"translate_const": translate, "img_mean": fill_of(described[1], fill), "magnitude_std": std,
                       "magnitude_max": most}
            if interpolation != "random":
                hparams["interpolation"] = INTERPOLATIONS[interpolation]
            with recording(rng.randrange(1 << 30)) as r:
                out = aa.AugmentOp(name, prob=1.0, magnitude=magnitude, hparams=hparams)(image)
            lines.append(" ".join(map(str, [name, repr(magnitude), std, most, translate, interpolation,
                                            ",".join(map(str, fill)), *described, ",".join(r.draws) or "-",
                                            fnv1a(out.tobytes())])))
    return lines


POLICIES = ["v0", "v0r", "original", "originalr", "3a", "original-mstd0.5", "v0-mstd1", "3a-mstd0.5", "rand",
            "rand-m9-mstd0.5", "rand-m9-mstd0.5-inc1", "rand-m15-n2-mmax20", "rand-m9-n3-p0.9-mstd101-inc1",
            "rand-m7-n4-p1.0-tweights", "rand-m6-n2-p1.0-t3a-inc1", "rand-m6-n5-p0.7-t3aw", "rand-m9-mstd0.5-inc1-n2-t",
            "augmix", "augmix-m5-w4-d2", "augmix-m5-w4-d2-b1", "augmix-m3-w2-a0.5-mstd0.5", "augmix-m9-w1-d1-mstd0"]


def policy(text, hparams):
    if text.startswith("rand"):
        return aa.rand_augment_transform(text, hparams)
    if text.startswith("augmix"):
        return aa.augment_and_mix_transform(text, {**hparams, "translate_pct": 0.3})
    return aa.auto_augment_transform(text, hparams)


def record_policies(cases):
    rng = random.Random(20261202)
    lines = ["# policy interpolation fill seed channels width height look draws fnv1a"]
    for text in POLICIES:
        for _ in range(cases):
            image, described = image_for(rng)
            interpolation = rng.choice(["random", "random", "bilinear", "bicubic"])
            fill = tuple(rng.randrange(256) for _ in range(3))
            hparams = {"translate_const": int(min(image.size) * 0.45), "img_mean": fill_of(described[1], fill)}
            if interpolation != "random":
                hparams["interpolation"] = INTERPOLATIONS[interpolation]
            with recording(rng.randrange(1 << 30)) as r:
                out = policy(text, hparams)(image)
            lines.append(" ".join(map(str, [text, interpolation, ",".join(map(str, fill)), *described,
                                            ",".join(r.draws) or "-", fnv1a(out.tobytes())])))
    return lines


def record_erasing(cases):
    rng = random.Random(20261203)
    lines = ["# prob most images splits channels height width draws fnv1a(kept)"]
    for _ in range(cases):
        prob, most = rng.choice([0.25, 0.5, 1.0]), rng.choice([1, 1, 2, 5])
        images, splits, channels = rng.choice([1, 2, 4, 6]), rng.choice([0, 0, 2]), rng.choice([1, 3])
        height, width = rng.randint(2, 60), rng.randint(2, 60)
        batch = torch.ones(images, channels, height, width)
        with recording(rng.randrange(1 << 30)) as r:
            RandomErasing(prob, mode="const", max_count=most, num_splits=splits, device="cpu")(batch)
        lines.append(" ".join(map(str, [prob, most, images, splits, channels, height, width, ",".join(r.draws) or "-",
                                        fnv1a(batch.numpy().astype(np.uint8).tobytes())])))
    return lines


def batch_of(seed, images, height, width):
    array = np.stack([np.asarray(pattern(seed + i, width, height, 3)).transpose(2, 0, 1) for i in range(images)])
    return torch.from_numpy(array.copy())


def record_mixtures(cases):
    rng = random.Random(20261204)
    lines = ["# mode mixup cutmix minmax prob switch smoothing classes multi seed images height width labels draws"
             " fnv1a(targets) fnv1a(images)"]
    for _ in range(cases):
        mode = rng.choice(["batch", "pair", "elem", "half"])
        mixup, cutmix = rng.choice([(0.8, 1.0), (0.2, 0.0), (0.0, 1.0), (1.0, 0.3)])
        minmax = rng.choice([None, None, (0.25, 0.75)])
        prob, switch, smoothing = rng.choice([1.0, 0.7]), rng.choice([0.5, 0.2]), rng.choice([0.0, 0.1])
        classes, images = rng.choice([3, 10]), rng.choice([2, 4, 8])
        height, width = rng.randint(8, 32), rng.randint(8, 32)
        multi, seed = mode != "half" and rng.random() < 0.25, rng.randrange(1 << 16)
        labels = [[rng.randrange(2) for _ in range(classes)] if multi else rng.randrange(classes)
                  for _ in range(images)]
        made = dict(mixup_alpha=mixup, cutmix_alpha=cutmix, cutmix_minmax=minmax, prob=prob, switch_prob=switch,
                    mode=mode, label_smoothing=smoothing, num_classes=classes, multi_label=multi)
        x, y = batch_of(seed, images, height, width), torch.tensor(labels)
        with recording(rng.randrange(1 << 30)) as r:
            if mode == "half":                      # only what collates has it; it gives bytes
                x, y = FastCollateMixup(**made)([(x[i].numpy(), int(y[i])) for i in range(images)])
                pixels = "-"
            else:
                x, y = Mixup(**made)(x.float() / 256, y)
                pixels = fnv1a(x.contiguous().numpy().tobytes())
        text = ";".join("".join(map(str, l)) for l in labels) if multi else ",".join(map(str, labels))
        sides = "-" if minmax is None else f"{minmax[0]},{minmax[1]}"
        lines.append(" ".join(map(str, [mode, mixup, cutmix, sides, prob, switch, smoothing, classes, int(multi), seed,
                                        images, height, width, text, ",".join(r.draws) or "-",
                                        fnv1a(y.float().contiguous().numpy().tobytes()), pixels])))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=pathlib.Path, default=TARGET)
    parser.add_argument("--cases", type=int, default=12, help="of each operation")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    for name, record, cases in (("augment", record_ops, options.cases), ("policies", record_policies, options.cases),
                                ("erasing", record_erasing, 5 * options.cases),
                                ("mixtures", record_mixtures, 5 * options.cases)):
        lines = record(cases)
        (options.to / f"{name}.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
