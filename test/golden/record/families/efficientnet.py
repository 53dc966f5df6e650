# SPDX-License-Identifier: Apache-2.0
"""efficientnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("test_efficientnet", {}, 32, False),
    ("test_efficientnet", {}, 96, True),
]
FIRST_VALUES = ["test_efficientnet"]
LEVELS = [
    ("test_efficientnet", {}, (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("test_efficientnet", dict(in_chans=1, num_classes=7, output_stride=4), (1, 64, 80)),
    ("tf_efficientnet_l2", dict(num_classes=7), (1, 64, 96)),
]
STEADY = [
    ("efficientnet_l2", {}, (1, 128, 160)),
    ("tf_efficientnet_l2", {}, (1, 128, 160)),
]
