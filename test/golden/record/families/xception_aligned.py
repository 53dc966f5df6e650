# SPDX-License-Identifier: Apache-2.0
"""xception_aligned: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("xception41p", {}, 64, False),
    ("xception41", {}, 96, True),
]
FIRST_VALUES = ["xception41"]
LEVELS = [
    ("xception41", {}, (1, 64, 96), "max"),
    ("xception41p", {}, (1, 64, 64), "avg"),
]
VARIATIONS = [
    ("xception41", dict(in_chans=1, num_classes=7, output_stride=16), (2, 97, 131)),
    ("xception41p", dict(num_classes=5, output_stride=8, global_pool="max"), (3, 64, 80)),
]
