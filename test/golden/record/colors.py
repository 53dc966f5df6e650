# SPDX-License-Identifier: Apache-2.0
"""colors.py — records what Pillow's enhancements and torchvision's Gaussian blur make of images.

Writes test/golden/data/colors.tsv: of enhancements the hash of the bytes, of blurs all bytes. Needs Pillow, torch,
torchvision and numpy.
"""
import random

from PIL import Image, ImageEnhance
from torchvision.transforms import functional

from resize_transform import TARGET, fnv1a, pattern

ENHANCE = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color}


def main():
    rng = random.Random(20261130)
    lines = ["# seed channels width height what by fnv1a-or-bytes"]
    for seed in range(120):
        channels, w, h = rng.choice([1, 3]), rng.randint(1, 40), rng.randint(1, 40)
        name, factor = rng.choice(list(ENHANCE)), rng.choice([0.0, 1.0, rng.uniform(0, 2), rng.uniform(0.6, 1.4)])
        out = ENHANCE[name](pattern(seed, w, h, channels)).enhance(factor)
        lines.append(" ".join(map(str, [seed, channels, w, h, name, factor, fnv1a(out.tobytes())])))
    for seed in range(12):
        channels, w, h = rng.choice([1, 3]), rng.randint(12, 15), rng.randint(12, 15)
        sigma = rng.uniform(0.1, 2)
        out = functional.gaussian_blur(pattern(seed, w, h, channels), [23, 23], [sigma, sigma])
        assert isinstance(out, Image.Image)
        lines.append(" ".join(map(str, [seed, channels, w, h, "blur", sigma, out.tobytes().hex()])))
    (TARGET / "colors.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
