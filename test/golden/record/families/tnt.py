# SPDX-License-Identifier: Apache-2.0
"""tnt: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("tnt_s_patch16_224", dict(img_size=32, depth=1, embed_dim=24, inner_dim=8, num_heads_outer=2), 32, False),
]
FIRST_VALUES = ["tnt_s_patch16_224"]
LEVELS = [
    ("tnt_s_patch16_224", dict(img_size=(32, 48), depth=4, embed_dim=48, inner_dim=8), (1, 32, 48), "token"),
]
VARIATIONS = [
    ("tnt_s_patch16_224", dict(in_chans=1, num_classes=7, img_size=(64, 48), depth=3, qkv_bias=True), (3, 64, 48)),
    ("tnt_s_legacy_patch16_224", dict(img_size=64, depth=3, global_pool="avg"), (2, 64, 64)),
]
