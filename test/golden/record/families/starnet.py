# SPDX-License-Identifier: Apache-2.0
"""starnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("starnet_s050", {}, 64, False),
    ("starnet_s050", {}, 96, True),
]
FIRST_VALUES = ["starnet_s050"]
LEVELS = [
    ("starnet_s050", {}, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("starnet_s050", dict(in_chans=1, num_classes=7), (2, 97, 131)),
    ("starnet_s100", dict(num_classes=5, mlp_ratio=2, global_pool="catavgmax"), (3, 64, 80)),
]
