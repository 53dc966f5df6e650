# SPDX-License-Identifier: Apache-2.0
"""lcnetv2: what is recorded of it beside the figures of its names."""
SMALL = dict(scale=0.25, head_hidden_size=64)
GRADIENTS = [
    ("lcnetv2_small", SMALL, 32, False),
    ("lcnetv2_small", SMALL, 96, True),
]
FIRST_VALUES = ["lcnetv2_small"]
LEVELS = [
    ("lcnetv2_small", SMALL, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("lcnetv2_base", dict(scale=0.5, in_chans=1, num_classes=7), (2, 97, 131)),
    ("lcnetv2_large", dict(scale=0.375, inference_mode=True, num_classes=0, global_pool=""), (3, 64, 80)),
    ("lcnetv2_small", dict(scale=0.25, head_hidden_size=0, num_classes=7, global_pool="avgmax"), (1, 80, 64)),
]
