# SPDX-License-Identifier: Apache-2.0
"""naflex_data.py — records timm's batches of sequences, mixtures of images of several sizes and erased patches.

Writes test/golden/data/{sequence_batches,sequence_mixtures,patch_erasing}.tsv. What timm drew stands there as draws.py
writes it, with draws of torch among them. Images come from test/data/pattern.h's formula over 256; of mixed ones two
sums are kept, of values and of values times their place modulo 97. Needs torch, timm and numpy.
"""
import contextlib
import io
import random
from unittest import mock

import numpy as np
import torch
from timm.data.naflex_dataset import NaFlexMapDatasetWrapper
from timm.data.naflex_mixup import NaFlexMixup
from timm.data.naflex_random_erasing import PatchRandomErasing

from draws import recording
from resize_transform import TARGET, pattern


@contextlib.contextmanager
def torch_recording(seed):
    """recording(), and torch.rand(()), torch.randint of one index and Beta as well."""
    with recording(seed) as r, contextlib.ExitStack() as stack:
        def shuffle(items):
            for i in reversed(range(1, len(items))):
                j = r.index(i, r.python.randrange(i + 1))
                items[i], items[j] = items[j], items[i]

        def beta(a, b):
            return mock.Mock(sample=lambda: torch.tensor(r.beta(a, b), dtype=torch.float64))

        stack.enter_context(mock.patch.object(random, "shuffle", shuffle))
        stack.enter_context(mock.patch.object(torch, "rand", lambda size: torch.tensor(r.random(), dtype=torch.float64)))
        stack.enter_context(mock.patch.object(torch, "randint", lambda lo, hi, size, generator=None: torch.tensor(
            [r.index(hi - 1, r.python.randrange(hi))])))
        stack.enter_context(mock.patch.object(torch.distributions, "Beta", beta))
        yield r


def record_batches(cases=40):
    rng = random.Random(20261210)
    lines = ["# lengths images_of_the_longest images draws length:images,..."]
    for _ in range(cases):
        lengths = sorted(rng.sample([1, 7, 49, 64, 100, 128, 196, 256, 400, 576, 784, 1024], rng.randint(1, 5)))
        batch, images = rng.choice([1, 3, 4, 8, 17, 32, 128]), rng.choice([1, 5, 100, 1000, rng.randint(1, 3000)])
        with torch_recording(rng.randrange(1 << 30)) as r, contextlib.redirect_stdout(io.StringIO()):
            made = NaFlexMapDatasetWrapper(range(images), patch_size=16, seq_lens=lengths,
                                           max_tokens_per_batch=batch * max(lengths))
        if len(r.draws) > 400:
            continue
        lines.append(" ".join([",".join(map(str, lengths)), str(batch), str(images), ",".join(r.draws),
                               ",".join(f"{length}:{n}" for length, n in made._canonical_batch_schedule)]))
    return lines


def sums(image):
    values = image.double().reshape(-1)
    return f"{values.sum().item()!r},{(values * (torch.arange(len(values)) % 97)).sum().item()!r}"


def record_mixtures(cases=60):
    rng = random.Random(20261211)
    lines = ["# mixup cutmix prob switch smoothing classes multi seed heightxwidth,... labels draws targets sum,sum;..."]
    for _ in range(cases):
        mixup, cutmix = rng.choice([(0.8, 1.0), (0.2, 0.0), (0.0, 1.0), (1.0, 0.3)])
        prob, switch, smoothing = rng.choice([1.0, 0.7]), rng.choice([0.5, 0.2]), rng.choice([0.0, 0.1])
        classes, images, seed = rng.choice([3, 5]), rng.randint(1, 9), rng.randrange(1 << 16)
        sizes = [(rng.randint(1, 40), rng.randint(1, 40)) for _ in range(images)]
        if rng.random() < 0.3:
            sizes = [sizes[0]] * images
        multi = rng.random() < 0.25
        labels = [[rng.randrange(2) for _ in range(classes)] if multi else rng.randrange(classes)
                  for _ in range(images)]
        made = NaFlexMixup(num_classes=classes, mixup_alpha=mixup, cutmix_alpha=cutmix, switch_prob=switch, prob=prob,
                           label_smoothing=smoothing, multi_label=multi)
        x = [torch.from_numpy(np.asarray(pattern(seed + i, w, h, 3)).transpose(2, 0, 1).copy()).float() / 256
             for i, (h, w) in enumerate(sizes)]
        with torch_recording(rng.randrange(1 << 30)) as r:
            x, y = made(x, torch.tensor(labels))
        text = ";".join("".join(map(str, l)) for l in labels) if multi else ",".join(map(str, labels))
        lines.append(" ".join(map(str, [mixup, cutmix, prob, switch, smoothing, classes, int(multi), seed,
                                        ",".join(f"{h}x{w}" for h, w in sizes), text, ",".join(r.draws) or "-",
                                        ",".join(repr(v) for row in y for v in row.tolist()),
                                        ";".join(sums(i) for i in x)])))
    return lines


def record_erasing(cases=60):
    rng = random.Random(20261212)
    lines = ["# prob most splits length rowsxcolumns,... draws kept"]
    for _ in range(cases):
        prob, most, splits = rng.choice([0.25, 0.5, 1.0]), rng.choice([1, 1, 2, 5]), rng.choice([0, 0, 2])
        grids = [(rng.randint(1, 9), rng.randint(1, 9)) for _ in range(rng.choice([1, 2, 4]))]
        length = rng.choice([max(h * w for h, w in grids) + rng.randint(0, 9), rng.randint(1, 40)])
        patches = torch.ones(len(grids), length, 4, 3)
        coord, valid = torch.zeros(len(grids), length, 2, dtype=torch.int64), torch.zeros(len(grids), length).bool()
        for i, (h, w) in enumerate(grids):
            for k in range(min(h * w, length)):
                coord[i, k], valid[i, k] = torch.tensor([k // w, k % w]), True
        with recording(rng.randrange(1 << 30)) as r:
            out = PatchRandomErasing(prob, max_count=most, mode="const", num_splits=splits, device="cpu")(
                patches, coord, valid)
        kept = ";".join("".join(str(int(v)) for v in row[:, 0, 0]) for row in out)
        assert all((out[i, k] == out[i, k, 0, 0]).all() for i in range(len(grids)) for k in range(length))
        lines.append(" ".join(map(str, [prob, most, splits, length, ",".join(f"{h}x{w}" for h, w in grids),
                                        ",".join(r.draws) or "-", kept])))
    return lines


def main():
    for name, lines in (("sequence_batches", record_batches()), ("sequence_mixtures", record_mixtures()),
                        ("patch_erasing", record_erasing())):
        (TARGET / f"{name}.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
