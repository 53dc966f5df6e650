# SPDX-License-Identifier: Apache-2.0
"""vgg: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("vgg11_bn", dict(mlp_ratio=0.01), 32, False),
    ("vgg11_bn", dict(mlp_ratio=0.01), 64, True),
]
FIRST_VALUES = [("vgg11_bn", dict(mlp_ratio=0.01))]
LEVELS = [
    ("vgg11", dict(mlp_ratio=0.01), (1, 64, 96), "avg"),
]
VARIATIONS = [
    ("vgg11_bn", dict(in_chans=1, num_classes=7, mlp_ratio=0.01), (2, 97, 131)),
    ("vgg13", dict(num_classes=5, mlp_ratio=0.02, global_pool="catavgmax"), (3, 256, 224)),
]
