# SPDX-License-Identifier: Apache-2.0
"""pvt_v2: what is recorded of it beside the figures of its names."""
SMALL = dict(depths=(1, 1, 1, 1), embed_dims=(16, 32, 40, 64), mlp_ratios=(2, 2, 2, 2))
GRADIENTS = [
    ("pvt_v2_b0", SMALL, 64, False),
    ("pvt_v2_b2_li", SMALL, 64, False),
]
FIRST_VALUES = ["pvt_v2_b0"]
LEVELS = [
    ("pvt_v2_b0", SMALL, (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("pvt_v2_b0", dict(in_chans=1, num_classes=7, depths=(1, 1, 2, 1)), (3, 97, 131)),
    ("pvt_v2_b2_li", dict(embed_dims=(16, 32, 40, 64), depths=(1, 2, 1, 1), num_classes=0, global_pool=""), (1, 96, 128)),
    ("pvt_v2_b1", dict(num_classes=0, embed_dims=(16, 32, 64, 64), num_heads=(2, 2, 4, 4), sr_ratios=(4, 2, 1, 1), qkv_bias=False),
     (2, 64, 80)),
]
