# SPDX-License-Identifier: Apache-2.0
"""inception_resnet_v2: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("inception_resnet_v2", {}, 96, False),
    ("inception_resnet_v2", {}, 128, True),
]
FIRST_VALUES = ["inception_resnet_v2"]
LEVELS = [
    ("inception_resnet_v2", {}, (1, 96, 128), "max"),
]
VARIATIONS = [
    ("inception_resnet_v2", dict(in_chans=1, num_classes=7), (2, 97, 131)),
    ("inception_resnet_v2", dict(num_classes=0, global_pool="catavgmax"), (3, 112, 96)),
]
