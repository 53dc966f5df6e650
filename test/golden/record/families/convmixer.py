# SPDX-License-Identifier: Apache-2.0
"""convmixer: what is recorded of it beside the figures of its names."""
SMALL = dict(dim=24, depth=3)
GRADIENTS = [
    ("convmixer_1536_20", SMALL, 28, False),
    ("convmixer_768_32", SMALL, 42, True),
]
FIRST_VALUES = ["convmixer_768_32"]
LEVELS = [
    ("convmixer_1536_20", SMALL, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("convmixer_1536_20", dict(in_chans=1, num_classes=7, **SMALL), (2, 97, 131)),
    ("convmixer_768_32", dict(num_classes=0, kernel_size=4, global_pool="max", **SMALL), (3, 64, 80)),
]
