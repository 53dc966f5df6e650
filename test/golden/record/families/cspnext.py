# SPDX-License-Identifier: Apache-2.0
"""cspnext: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("cspnext_tiny", {}, 32, False),
    ("cspnext_tiny", {}, 96, True),
]
FIRST_VALUES = ["cspnext_tiny"]
LEVELS = [
    ("cspnext_tiny", {}, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("cspnext_tiny", dict(in_chans=1, num_classes=7, output_stride=8), (2, 97, 131)),
    ("cspnext_s", dict(num_classes=0, channel_attention=False, expand_ratio=0.25, act_layer="relu", global_pool="catavgmax"), (3, 64, 80)),
]
