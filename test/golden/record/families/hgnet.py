# SPDX-License-Identifier: Apache-2.0
"""hgnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("hgnetv2_b0", dict(head_hidden_size=64), 32, False),
    ("hgnetv2_b0", dict(head_hidden_size=64), 64, True),
]
FIRST_VALUES = ["hgnetv2_b0"]
LEVELS = [
    ("hgnetv2_b0", dict(head_hidden_size=64), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("hgnet_tiny", dict(in_chans=1, num_classes=7), (2, 97, 131)),
    ("hgnetv2_b1", dict(num_classes=0, head_hidden_size=48, global_pool="max"), (3, 64, 80)),
]
