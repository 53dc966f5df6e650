# SPDX-License-Identifier: Apache-2.0
"""beit: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("beit_base_patch16_224", dict(img_size=32, depth=2, embed_dim=32, num_heads=2), 32, False),
]
FIRST_VALUES = ["beit_base_patch16_224"]
LEVELS = [
    ("beit_base_patch16_224", dict(img_size=(32, 48), depth=4, embed_dim=48, num_heads=2), (1, 32, 48), "avg"),
]
VARIATIONS = [
    ("beit_base_patch16_224", dict(in_chans=1, num_classes=7, img_size=(64, 48), depth=3), (3, 64, 48)),
    ("beitv2_base_patch16_224", dict(img_size=64, depth=3, global_pool="token", qkv_bias=False), (1, 64, 64)),
    ("beit_large_patch16_224", dict(depth=3, img_size=64), (1, 64, 64)),
    ("beit_large_patch16_384", dict(depth=3, img_size=64), (1, 64, 64)),
    ("beit_large_patch16_512", dict(depth=3, img_size=64), (1, 64, 64)),
    ("beitv2_large_patch16_224", dict(depth=3, img_size=64), (1, 64, 64)),
]
