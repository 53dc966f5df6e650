# SPDX-License-Identifier: Apache-2.0
"""mobilevit: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("mobilevit_xxs", dict(num_features=40), 64, False),
    ("mobilevitv2_050", dict(width_factor=0.5), 64, True),
]
FIRST_VALUES = ["mobilevit_xxs", ("mobilevitv2_050", dict(width_factor=0.5))]
LEVELS = [
    ("mobilevit_xxs", {}, (2, 64, 96), "avg"),
    ("mobilevitv2_050", dict(width_factor=0.5), (1, 64, 96), "avg"),
]
VARIATIONS = [
    ("mobilevit_xs", dict(in_chans=1, num_classes=7, output_stride=16), (1, 97, 131)),
    ("mobilevitv2_075", dict(in_chans=1, num_classes=5, output_stride=8, global_pool="max"), (2, 97, 131)),
    ("mobilevit_s", dict(num_classes=0, global_pool="", act_layer="relu", downsample="conv1x1"), (3, 64, 80)),
    ("mobilevitv2_050", dict(num_classes=7, attn_layer="se", num_features=96), (1, 96, 64)),
]
