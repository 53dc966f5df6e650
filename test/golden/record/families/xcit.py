# SPDX-License-Identifier: Apache-2.0
"""xcit: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("xcit_nano_12_p16_224", dict(img_size=48, depth=1, embed_dim=32, num_heads=2, qkv_bias=False), 48, False),
    ("xcit_tiny_12_p16_224", dict(img_size=48, depth=1, embed_dim=32, num_heads=2), 48, True),
]
FIRST_VALUES = ["xcit_nano_12_p16_224"]
LEVELS = [
    ("xcit_nano_12_p16_224", dict(img_size=(64, 48), depth=4, embed_dim=32), (1, 64, 48), "avg"),
]
VARIATIONS = [
    ("xcit_tiny_12_p16_224", dict(in_chans=1, num_classes=7, img_size=(64, 96), depth=3), (3, 64, 96)),
    ("xcit_nano_12_p8_224", dict(img_size=64, depth=3, global_pool="avg", qkv_bias=False, cls_attn_layers=1), (1, 64, 64)),
    ("xcit_nano_12_p16_224", dict(depth=3, use_pos_embed=False, global_pool=""), (1, 97, 131)),
]
