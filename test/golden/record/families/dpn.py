# SPDX-License-Identifier: Apache-2.0
"""dpn: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("dpn48b", dict(k_sec=(1, 1, 1, 1)), 32, False),
    ("dpn48b", dict(k_sec=(1, 1, 1, 1)), 64, True),
]
FIRST_VALUES = ["dpn48b"]
LEVELS = [
    ("dpn48b", dict(k_sec=(1, 2, 1, 1)), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("dpn68", dict(in_chans=1, num_classes=7, k_sec=(1, 1, 2, 1)), (2, 97, 131)),
    ("dpn68b", dict(k_sec=(1, 1, 1, 1), num_classes=5, global_pool=""), (3, 64, 80)),
]
