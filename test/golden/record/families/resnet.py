# SPDX-License-Identifier: Apache-2.0
"""resnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("test_resnet", {}, 32, False),
    ("test_resnet", {}, 96, True),
]
FIRST_VALUES = ["test_resnet"]
LEVELS = [
    ("test_resnet", {}, (2, 64, 96), "max"),
]
VARIATIONS = [
    ("test_resnet", dict(in_chans=1, num_classes=7, output_stride=16), (2, 96, 64)),
    ("test_resnet", dict(num_classes=0, output_stride=8, global_pool="max"), (1, 80, 72)),
]
