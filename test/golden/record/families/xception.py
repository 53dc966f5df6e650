# SPDX-License-Identifier: Apache-2.0
"""xception: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("legacy_xception", {}, 64, False),
    ("legacy_xception", {}, 96, True),
]
FIRST_VALUES = ["legacy_xception"]
LEVELS = [
    ("legacy_xception", {}, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("legacy_xception", dict(in_chans=1, num_classes=7), (2, 97, 131)),
    ("legacy_xception", dict(num_classes=0, global_pool="catavgmax"), (3, 80, 64)),
]
