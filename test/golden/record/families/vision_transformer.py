# SPDX-License-Identifier: Apache-2.0
"""vision_transformer: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("test_vit", dict(img_size=32), 32, False),
]
FIRST_VALUES = ["test_vit"]
LEVELS = [
    ("test_vit", dict(img_size=(64, 96)), (2, 64, 96), "avg"),
    ("test_vit2", dict(img_size=64), (1, 64, 64), "avg"),
    ("test_vit3", dict(img_size=(64, 96)), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("test_vit", dict(in_chans=1, num_classes=7, img_size=(96, 128)), (2, 96, 128)),
    ("test_vit", dict(global_pool="avgmax"), (1, 192, 112)),
    ("test_vit2", dict(dynamic_img_pad=True, num_classes=0), (1, 150, 170)),
    ("test_vit3", dict(global_pool="", img_size=(64, 48)), (2, 64, 48)),
    ("test_vit4", dict(qk_norm=True, reg_tokens=3, no_embed_class=True, dynamic_img_size=False), (1, 160, 160)),
    ("vit_tiny_patch16_224", dict(depth=3, embed_dim=32, num_heads=2, use_naflex=True), (2, 96, 48)),
    ("vit_base_patch16_radio_v3", dict(depth=3, embed_dim=32, num_heads=2, use_naflex=True, num_classes=4), (1, 96, 48)),
]
