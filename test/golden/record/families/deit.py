# SPDX-License-Identifier: Apache-2.0
"""deit: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("deit_tiny_distilled_patch16_224", dict(img_size=32), 32, False),
]
FIRST_VALUES = ["deit_tiny_distilled_patch16_224"]
LEVELS = [
    ("deit_tiny_distilled_patch16_224", dict(img_size=64, depth=4), (1, 64, 64), "token"),
]
VARIATIONS = [
    ("deit_tiny_distilled_patch16_224", dict(in_chans=4, num_classes=7, img_size=64), (2, 64, 64)),
]
