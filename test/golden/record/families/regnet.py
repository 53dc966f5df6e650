# SPDX-License-Identifier: Apache-2.0
"""regnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("regnety_002", {}, 32, False),
    ("regnety_002", {}, 64, True),
]
FIRST_VALUES = ["regnety_002"]
LEVELS = [
    ("regnety_002", {}, (1, 64, 96), "avg"),
    ("regnetz_005", {}, (1, 64, 64), "catavgmax"),
]
VARIATIONS = [
    ("regnetx_002", dict(in_chans=1, num_classes=7, output_stride=16), (2, 96, 64)),
    ("regnety_002", dict(in_chans=4, num_classes=7, output_stride=8, global_pool="catavgmax"), (1, 64, 80)),
]
STEADY = [
    ("regnety_1280", {}, (1, 128, 160)),
]
