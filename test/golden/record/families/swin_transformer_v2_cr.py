# SPDX-License-Identifier: Apache-2.0
"""swin_transformer_v2_cr: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=16, num_heads=(1, 2, 4, 8), depths=(2, 2, 2, 1))
GRADIENTS = [
    ("swinv2_cr_tiny_ns_224", dict(SMALL, img_size=64, window_ratio=4), 64, False, ["meta_mlp.fc2.bias"]),
]
FIRST_VALUES = [
    "swinv2_cr_tiny_224",
    ("swinv2_cr_tiny_ns_224", dict(SMALL, embed_dim=48, weight_init="xavier", init_values=0.5)),
]
LEVELS = [
    ("swinv2_cr_tiny_ns_224", dict(SMALL, img_size=64, window_size=4), (2, 64, 64), "avg"),
    ("swinv2_cr_huge_224", dict(SMALL, img_size=(64, 96)), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("swinv2_cr_tiny_224", dict(SMALL, in_chans=4, img_size=(160, 96), window_size=(4, 6), global_pool="max"), (1, 160, 96)),
    ("swinv2_cr_tiny_ns_224", dict(in_chans=1, num_classes=7, img_size=(96, 128), depths=(1, 2, 3, 1), extra_norm_period=2),
     (3, 96, 128)),
    ("swinv2_cr_tiny_224", dict(SMALL, img_size=64, window_ratio=(2, 4, 8, 32), always_partition=True, num_classes=0, global_pool=""),
     (1, 64, 64)),
    ("swinv2_cr_small_224", dict(SMALL, img_size=(96, 64), dynamic_img_size=True, patch_size=2, mlp_ratio=2.5,
                                 window_size=((6, 4), (4, 8), (8, 8), (3, 2))), (2, 74, 102)),
]
