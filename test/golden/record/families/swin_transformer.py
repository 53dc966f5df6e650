# SPDX-License-Identifier: Apache-2.0
"""swin_transformer: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("swin_tiny_patch4_window7_224", dict(img_size=64), 64, False),
]
FIRST_VALUES = ["swin_tiny_patch4_window7_224"]
LEVELS = [
    ("swin_tiny_patch4_window7_224", dict(img_size=64, embed_dim=16, num_heads=(1, 2, 4, 8), depths=(1, 1, 2, 1), window_size=4),
     (2, 64, 64), "avg"),
]
VARIATIONS = [
    ("swin_s3_tiny_224", dict(in_chans=4, img_size=(160, 96), window_size=(4, 6), embed_dim=32, num_heads=(2, 4, 8, 16),
                              depths=(2, 2, 4, 2), global_pool="max"), (1, 160, 96)),
    ("swin_tiny_patch4_window7_224", dict(in_chans=1, num_classes=7, img_size=(96, 128)), (2, 96, 128)),
    ("swin_tiny_patch4_window7_224", dict(img_size=64, window_size=(4, 4, 8, 4), always_partition=True, num_classes=0,
                                          global_pool="", head_dim=16), (1, 64, 64)),
    ("swin_tiny_patch4_window7_224", dict(img_size=(96, 64), strict_img_size=False, patch_size=2, embed_dim=48, mlp_ratio=2.5,
                                          qkv_bias=False, window_size=((6, 4), (4, 8), (8, 8), (3, 2))), (2, 74, 102)),
]
