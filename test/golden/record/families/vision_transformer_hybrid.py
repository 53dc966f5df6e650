# SPDX-License-Identifier: Apache-2.0
"""vision_transformer_hybrid: what is recorded of it beside the figures of its names."""
TINY = dict(img_size=64, embed_dim=48, depth=2, num_heads=3)
GRADIENTS = [
    ("vit_tiny_r_s16_p8_224", TINY, 64, False),
    ("vit_small_r26_s32_224", TINY, 64, True),
]
FIRST_VALUES = ["vit_tiny_r_s16_p8_224", ("vit_small_r26_s32_224", TINY), ("vit_small_resnet26d_224", TINY), ("vit_base_mci_224", dict(depth=1))]
LEVELS = [
    ("vit_tiny_r_s16_p8_224", dict(img_size=(64, 96), embed_dim=48, depth=4, num_heads=3), (2, 64, 96), "avg"),
    ("vit_small_r26_s32_224", dict(img_size=64, embed_dim=48, depth=3, num_heads=3), (1, 64, 64), "token"),
]
VARIATIONS = [
    ("vit_tiny_r_s16_p8_224", dict(in_chans=1, num_classes=7, img_size=(64, 96), depth=3), (3, 64, 96)),
    ("vit_small_r26_s32_224", dict(dynamic_img_size=True, embed_dim=48, depth=3, num_heads=3, global_pool="avg"), (1, 96, 128)),
    ("vit_small_resnet50d_s16_224", dict(in_chans=4, num_classes=0, img_size=(64, 48), embed_dim=48, depth=3, num_heads=3), (1, 64, 48)),
    ("vit_base_mci_224", dict(img_size=(64, 48), depth=3, num_classes=5), (2, 64, 48)),
]
