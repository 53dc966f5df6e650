# SPDX-License-Identifier: Apache-2.0
"""eva: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("eva02_tiny_patch14_224", dict(img_size=42, depth=1, embed_dim=24, num_heads=2), 42, False),
    ("vit_small_patch16_rope_mixed_224", dict(img_size=48, depth=2, embed_dim=32, num_heads=2), 48, False),
]
FIRST_VALUES = ["vit_tiny_patch16_dinov3_qkvb"]
LEVELS = [
    ("eva02_tiny_patch14_224", dict(img_size=(42, 56), depth=4, embed_dim=48), (1, 42, 56), "avg"),
    ("vit_tiny_patch16_dinov3_qkvb", dict(depth=4, img_size=(64, 96)), (2, 64, 96), "token"),
    ("vit_small_patch16_rope_mixed_224", dict(img_size=48, depth=4, embed_dim=48, num_heads=3), (1, 48, 48), "avg"),
]
VARIATIONS = [
    ("eva02_tiny_patch14_224", dict(in_chans=1, num_classes=7, img_size=(70, 56), depth=3), (3, 70, 56)),
    ("vit_tiny_patch16_dinov3_qkvb", dict(depth=3, dynamic_img_pad=True, global_pool="token"), (1, 97, 131)),
    ("vit_pe_core_tiny_patch16_384", dict(img_size=96, depth=3), (1, 96, 96)),
    ("vit_small_plus_patch16_dinov3", dict(depth=3, global_pool="", num_classes=0), (1, 64, 48)),
    ("vit_small_patch16_rope_mixed_224", dict(depth=3, embed_dim=32, num_heads=2, use_naflex=True), (1, 96, 48)),
    ("vit_small_patch16_dinov3", dict(depth=3, embed_dim=32, num_heads=2, use_naflex=True, num_classes=4), (1, 96, 48)),
    ("eva02_tiny_patch14_224", dict(depth=3, embed_dim=48, num_heads=3, use_naflex=True, num_classes=4), (1, 84, 56)),
]
