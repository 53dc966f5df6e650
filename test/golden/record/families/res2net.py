# SPDX-License-Identifier: Apache-2.0
"""res2net: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("res2net50_26w_4s", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64)), 32, False),
    ("res2net50_26w_4s", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64)), 96, True),
]
FIRST_VALUES = ["res2net50_26w_4s"]
LEVELS = [
    ("res2net50_26w_4s", dict(layers=(1, 1, 2, 1), channels=(16, 32, 48, 64)), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("res2next50", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64), in_chans=1, num_classes=7, output_stride=16), (2, 97, 131)),
    ("res2net50d", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64), num_classes=5, output_stride=8, global_pool="max"), (3, 64, 80)),
]
