# SPDX-License-Identifier: Apache-2.0
"""lowformer: what is recorded of it beside the figures of its names."""
SMALL = dict(width_list=(8, 16, 24, 64, 128), depth_list=(1, 1, 2, 1, 1), head_widths=(48, 64))
APART = dict(SMALL, fused_conv=False, expand_groups=2)
GRADIENTS = [
    ("lowformer_b0", SMALL, 64, False),
    ("lowformer_b1", APART, 96, False),
    ("lowformer_e1", SMALL, 64, True),
]
FIRST_VALUES = [("lowformer_b0", SMALL), ("lowformer_b1", APART)]
LEVELS = [
    ("lowformer_b0", SMALL, (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("lowformer_b0", dict(SMALL, in_chans=1, num_classes=7, attn_mlp_ratio=3), (3, 97, 131)),
    ("lowformer_b1", dict(APART, global_pool="", stem_expand_ratio=3), (1, 100, 68)),
    ("lowformer_e3", dict(SMALL, num_classes=0, global_pool="max", expand_ratio=3, depth_list=(0, 1, 0, 2, 1)), (2, 80, 64)),
    ("lowformer_e2", dict(SMALL, num_classes=3, downsample_expand_ratios=(2, 3, 4, 5)), (1, 64, 64)),
]
