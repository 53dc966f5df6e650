#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# bench/peers/loader.py — JPEG to normalised tensor: fovea's loader beside timm's with Pillow and torchvision's v2, on one
# core, each in a process of its own. They take turns round by round, so that the machine's noise falls on all alike.
#
# usage: loader.py --tool build/fovea [--images 256] [--rounds 9] [--aa rand-m9-mstd0.5] [--reprob 0.25] [--core 0] [--out FILE.json]
#
# The images are crops of docs/images of ImageNet's usual sizes, as JPEGs of its usual quality, made anew. Prints the median of
# each loader's images a second, and of each round's ratio to timm's and torchvision's.
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def make_images(folder, count):
    from PIL import Image

    photos = [Image.open(p).convert("RGB") for p in sorted((ROOT / "docs/images").iterdir()) if p.suffix in (".png", ".jpg")]
    rng = random.Random(1)
    for i in range(count):
        photo = rng.choice(photos)
        width, height = rng.choice([(500, 375), (500, 333), (375, 500), (500, 400), (640, 480)])
        scale = rng.uniform(0.6, 1.0)
        w, h = int(photo.width * scale), int(photo.height * scale)
        left, top = rng.randint(0, photo.width - w), rng.randint(0, photo.height - h)
        picture = photo.crop((left, top, left + w, top + h)).resize((width, height), Image.LANCZOS)
        path = folder / f"class{i % 4}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=rng.choice([85, 90, 95]), subsampling=rng.choice([0, 2, 2]))


def timm_batches(options, train):
    import torch
    from timm.data import create_dataset, create_loader

    dataset = create_dataset("", options.folder, split="train")
    loader = create_loader(dataset, (3, 224, 224), options.batch, is_training=train, num_workers=0,
                           device=torch.device("cpu"), interpolation="random" if train else "bicubic", crop_pct=0.875, persistent_workers=False,
                           auto_augment=options.aa or None, color_jitter=None if not options.aa else 0.4,
                           re_prob=options.reprob if train else 0, re_mode="pixel", pin_memory=False)
    while True:
        for images, _ in loader:
            yield len(images)


def torchvision_batches(options, train):
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg, read_file
    from torchvision.transforms import InterpolationMode, v2

    files = sorted(str(p) for p in pathlib.Path(options.folder).rglob("*.jpg"))
    tail = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    augmented = [v2.RandAugment(magnitude=9)] if options.aa else []
    erased = [v2.RandomErasing(options.reprob)] if options.reprob else []
    transform = v2.Compose([v2.RandomResizedCrop(224, antialias=True), v2.RandomHorizontalFlip(), *augmented, *tail, *erased]
                           if train else
                           [v2.Resize(256, InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(224), *tail])
    while True:
        for at in range(0, len(files) - options.batch + 1, options.batch):
            order = random.sample(files, options.batch) if train else files[at:at + options.batch]
            batch = torch.stack([transform(decode_jpeg(read_file(f), ImageReadMode.RGB)) for f in order])
            yield len(batch)


def work(options):
    import torch

    torch.set_num_threads(1)
    engine, _, mode = options.work.partition(":")
    batches = {"timm": timm_batches, "torchvision": torchvision_batches}[engine](options, mode == "train")
    next(batches)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        wanted, done, began = int(line.split()[1]), 0, time.perf_counter()
        while done < wanted:
            done += next(batches)
        print(json.dumps({"images": done, "seconds": time.perf_counter() - began}), flush=True)


class Engine:
    def __init__(self, name, command, core):
        self.name, self.rates = name, []
        self.process = subprocess.Popen(["taskset", "-c", str(core), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"loader: {self.name} ended")
        return json.loads(line)

    def run(self, images):
        self.process.stdin.write(f"run {images}\n")
        self.process.stdin.flush()
        answer = self.answer()
        self.rates.append(answer["images"] / answer["seconds"])

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def compare(options, mode):
    python = [sys.executable, __file__, "--folder", options.folder, "--batch", str(options.batch), "--aa", options.aa,
              "--reprob", str(options.reprob)]
    fovea = [options.tool, "bench-loader", options.folder, "-b", str(options.batch), "-j", "0", "--worker", "--model",
             "resnet50", "--img-size", "224", "--crop-pct", "0.875", "--interpolation", "bicubic", "--val-split", "train"]
    if mode == "eval":
        fovea.append("--eval")
    else:
        fovea += ["--color-jitter", "0", "--reprob", str(options.reprob)] + (["--aa", options.aa] if options.aa else [])
    engines = [Engine(name, command, options.core) for name, command in [
        ("fovea", fovea), ("fovea --fast-decode", [*fovea, "--fast-decode"]),
        ("timm", [*python, "--work", f"timm:{mode}"]), ("torchvision", [*python, "--work", f"torchvision:{mode}"])]]
    for engine in engines:
        engine.run(options.batch)
    for engine in engines:
        engine.rates.clear()
    for turn in range(options.rounds):
        for engine in engines[turn % 4:] + engines[:turn % 4]:
            engine.run(options.images)
    for engine in engines:
        engine.end()
    rows = {}
    for engine in engines:
        ratio = {f"to {other.name}": round(statistics.median(a / b for a, b in zip(engine.rates, other.rates)), 2)
                 for other in engines[2:]}
        rows[engine.name] = {"images_per_second": round(statistics.median(engine.rates), 1), **ratio}
        print(f"{mode:6} {engine.name:20} {rows[engine.name]}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", default=str(ROOT / "build/fovea"))
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--aa", default="")
    parser.add_argument("--reprob", type=float, default=0)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--out")
    parser.add_argument("--modes", default="train,eval")
    parser.add_argument("--folder", default="")
    parser.add_argument("--work", default="")
    options = parser.parse_args()
    if options.work:
        return work(options)
    with tempfile.TemporaryDirectory() as scratch:
        options.folder = options.folder or scratch
        if options.folder == scratch:
            make_images(pathlib.Path(scratch), 256)
        rows = {mode: compare(options, mode) for mode in options.modes.split(",")}
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
