#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fashion_mnist.py — the images of Debian's package dataset-fashion-mnist as a folder that `fovea train` takes.

usage: fashion_mnist.py OUT [--from FOLDER] [--most N] [--first N]
FOLDER has the package's four .gz files (by default where Debian installs them). OUT/train and OUT/validation get a
folder a class, with grey PNGs of 28 x 28 pixels. --most N: of each class at most so many.
--first N: of the images to train on the first so many, in the package's order.
"""
import argparse
import gzip
import pathlib
import struct
import zlib

CLASSES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"]
DEBIAN = pathlib.Path("/usr/share/datasets/fashion-mnist")


def read(path):
    data = gzip.decompress(path.read_bytes())
    rank = data[3]
    shape = struct.unpack(f">{rank}I", data[4:4 + 4 * rank])
    return shape, data[4 + 4 * rank:]


def png(pixels, width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + pixels[y * width:(y + 1) * width] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")


def write(images, labels, out, most, first):
    (count, height, width), pixels = read(images)
    _, classes = read(labels)
    written = [0] * len(CLASSES)
    for name in CLASSES:
        (out / name).mkdir(parents=True, exist_ok=True)
    size = width * height
    for i in range(min(count, first or count)):
        label = classes[i]
        if most and written[label] >= most:
            continue
        written[label] += 1
        (out / CLASSES[label] / f"{i:05}.png").write_bytes(png(pixels[i * size:(i + 1) * size], width, height))
    print(out, sum(written), "images")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--from", dest="source", type=pathlib.Path, default=DEBIAN)
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    a = parser.parse_args()
    for part, split, first in ("train", "train", a.first), ("t10k", "validation", 0):
        write(a.source / f"{part}-images-idx3-ubyte.gz", a.source / f"{part}-labels-idx1-ubyte.gz", a.out / split, a.most, first)


main()
