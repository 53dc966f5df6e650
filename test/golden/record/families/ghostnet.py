# SPDX-License-Identifier: Apache-2.0
"""ghostnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("ghostnetv2_100", dict(width=0.5, drop_rate=0.0), 64, False),
    ("ghostnetv3_050", dict(width=0.25, drop_rate=0.0), 96, True),
]
FIRST_VALUES = ["ghostnet_050", "ghostnetv3_050"]
LEVELS = [
    ("ghostnetv2_100", dict(width=0.25), (1, 64, 96), "max"),
    ("ghostnetv3_050", dict(width=0.25), (1, 64, 96), "avg"),
]
VARIATIONS = [
    ("ghostnet_130", dict(width=0.5, in_chans=1, num_classes=7), (2, 97, 131)),
    ("ghostnetv2_130", dict(width=0.4, in_chans=1, num_classes=5), (2, 97, 131)),
    ("ghostnetv3_100", dict(width=0.4, num_classes=0, global_pool=""), (3, 97, 80), None, 0.25),
    ("ghostnetv3_130", dict(width=0.4, in_chans=1, num_classes=7), (2, 97, 131), None, 0.25),
]
