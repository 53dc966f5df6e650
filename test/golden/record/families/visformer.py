# SPDX-License-Identifier: Apache-2.0
"""visformer: what is recorded of it beside the figures of its names."""
SMALL = dict(init_channels=8, embed_dim=32, depth=(1, 1, 2), num_heads=2, group=4)
GRADIENTS = [
    ("visformer_tiny", dict(SMALL, img_size=64), 64, False),
    ("visformer_tiny", dict(SMALL, img_size=64), 64, True),
]
FIRST_VALUES = [("visformer_tiny", SMALL), ("visformer_small", dict(SMALL, conv_init=False))]
LEVELS = [
    ("visformer_tiny", dict(SMALL, img_size=(64, 96)), (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("visformer_tiny", dict(SMALL, in_chans=1, num_classes=7, img_size=(96, 64), mlp_ratio=2.5), (3, 96, 64)),
    ("visformer_small", dict(SMALL, img_size=96, attn_stage="111", spatial_conv="011", group=1, global_pool="max"), (2, 96, 96)),
    ("visformer_tiny", dict(SMALL, num_classes=0, img_size=64, use_pos_embed=False), (1, 64, 64)),
    ("visformer_tiny", dict(SMALL, img_size=64, vit_stem=True, depth=(0, 2, 0)), (1, 64, 64)),
]
