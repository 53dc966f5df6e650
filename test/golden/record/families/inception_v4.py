# SPDX-License-Identifier: Apache-2.0
"""inception_v4: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("inception_v4", {}, 96, False),
    ("inception_v4", {}, 128, True),
]
FIRST_VALUES = ["inception_v4"]
LEVELS = [
    ("inception_v4", {}, (1, 96, 128), "max"),
]
VARIATIONS = [
    ("inception_v4", dict(in_chans=1, num_classes=7), (2, 97, 131)),
    ("inception_v4", dict(num_classes=0, global_pool="catavgmax"), (3, 112, 96)),
]
