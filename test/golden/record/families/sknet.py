# SPDX-License-Identifier: Apache-2.0
"""sknet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("skresnet18", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64)), 32, False),
    ("skresnet18", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64)), 96, True),
]
FIRST_VALUES = ["skresnet18"]
LEVELS = [
    ("skresnet18", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64)), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("skresnext50_32x4d", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64), in_chans=1, num_classes=7, output_stride=16), (2, 97, 131)),
    ("skresnet50d", dict(layers=(1, 1, 1, 1), channels=(16, 32, 48, 64), num_classes=5, output_stride=8, global_pool="max"), (3, 64, 80)),
]
