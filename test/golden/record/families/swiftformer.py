# SPDX-License-Identifier: Apache-2.0
"""swiftformer: what is recorded of it beside the figures of its names."""
SMALL = dict(layers=(2, 1, 2, 1), embed_dims=(16, 24, 32, 48))
GRADIENTS = [
    ("swiftformer_xs", SMALL, 64, False),
    ("swiftformer_xs", SMALL, 96, True),
]
FIRST_VALUES = [("swiftformer_xs", SMALL)]
LEVELS = [
    ("swiftformer_xs", SMALL, (1, 64, 96), "avg"),
]
VARIATIONS = [
    ("swiftformer_s", dict(SMALL, in_chans=1, num_classes=7, down_patch_size=5, down_pad=2, mlp_ratios=3), (2, 97, 131)),
    ("swiftformer_xs", dict(SMALL, num_classes=0, global_pool="", use_layer_scale=False), (3, 64, 80)),
]
