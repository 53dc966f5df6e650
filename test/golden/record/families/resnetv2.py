# SPDX-License-Identifier: Apache-2.0
"""resnetv2: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("resnetv2_50d_gn", dict(layers=(1, 1, 1, 1), channels=(128, 128, 256, 256)), 64, False),
    ("resnetv2_18d", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64)), 96, True),
]
FIRST_VALUES = ["resnetv2_50x1_bit"]
LEVELS = [
    ("resnetv2_50d_gn", dict(layers=(1, 1, 1, 1)), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("resnetv2_50x1_bit", dict(channels=(128, 128, 256, 256), in_chans=1, num_classes=7, output_stride=16), (2, 97, 131)),
    ("resnetv2_50t", dict(layers=(1, 2, 1, 2), num_classes=5, output_stride=8, global_pool=""), (3, 64, 80)),
    ("resnetv2_50d_frn", dict(layers=(1, 1, 1, 1), zero_init_last=True), (1, 80, 64)),
]
