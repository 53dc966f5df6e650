# SPDX-License-Identifier: Apache-2.0
"""byobnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("test_byobnet", {}, 32, False),
    ("test_byobnet", dict(head_type="attn_abs", img_size=96), 96, True),
    ("repvgg_a0", dict(width_factor=0.25), 64, False),
]
FIRST_VALUES = ["test_byobnet", "mobileone_s1"]
LEVELS = [
    ("test_byobnet", {}, (1, 64, 96), "max"),
    ("mobileone_s1", {}, (1, 64, 64), "avg"),
]
VARIATIONS = [
    ("repvgg_a0", dict(in_chans=1, num_classes=7, output_stride=8), (1, 97, 131)),
    ("mobileone_s1", dict(num_classes=0, output_stride=16, global_pool="catavgmax"), (2, 64, 80)),
    ("test_byobnet", dict(num_classes=5, head_type="attn_rot", head_hidden_size=128, img_size=96), (3, 64, 80)),
    ("resnet32ts", dict(num_classes=7, stem_type="quad2", stem_pool="max2", downsample="avg", aa_layer="blurpc", attn_layer="gca",
                        width_factor=0.25, head_type="mlp", head_hidden_size=48), (2, 97, 131)),
]
