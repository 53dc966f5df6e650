# SPDX-License-Identifier: Apache-2.0
"""nest: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dims=(16, 32, 48), num_heads=(1, 2, 4), depths=(1, 1, 2))
GRADIENTS = [
    ("nest_tiny", dict(SMALL, img_size=64), 64, False),
    ("nest_tiny_jx", dict(SMALL, img_size=32), 32, False),
]
FIRST_VALUES = [("nest_tiny", SMALL), ("nest_tiny_jx", dict(SMALL, weight_init="nlhb"))]
LEVELS = [
    ("nest_tiny", dict(SMALL, img_size=64), (2, 64, 64), "avg"),
]
VARIATIONS = [
    ("nest_tiny", dict(SMALL, in_chans=1, num_classes=7, img_size=96, mlp_ratio=2.5), (3, 96, 96)),
    ("nest_tiny_jx", dict(SMALL, num_classes=0, img_size=64, qkv_bias=False, global_pool="catavgmax"), (1, 64, 64)),
    ("nest_small_jx", dict(SMALL, img_size=96, global_pool="max"), (2, 96, 96)),
]
