# SPDX-License-Identifier: Apache-2.0
"""inception_v3: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("inception_v3", {}, 96, False),
    ("inception_v3", {}, 128, True),
]
FIRST_VALUES = ["inception_v3"]
LEVELS = [
    ("inception_v3", {}, (1, 96, 128), "max"),
]
VARIATIONS = [
    ("inception_v3", dict(in_chans=1, num_classes=7), (2, 97, 131)),
    ("inception_v3", dict(num_classes=0, global_pool="catavgmax"), (3, 112, 96)),
]
