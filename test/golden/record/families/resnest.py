# SPDX-License-Identifier: Apache-2.0
"""resnest: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("resnest14d", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64)), 32, False),
    ("resnest14d", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64)), 96, True),
]
FIRST_VALUES = ["resnest14d"]
LEVELS = [
    ("resnest14d", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64)), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("resnest50d_4s2x40d", dict(layers=(1, 1, 1, 1), channels=(32, 64, 96, 128), in_chans=1, num_classes=7, output_stride=16), (2, 97, 131)),
    ("resnest50d_1s4x24d", dict(layers=(1, 1, 1, 1), channels=(32, 64, 96, 128), num_classes=5, output_stride=8, global_pool="max"), (3, 64, 80)),
]
