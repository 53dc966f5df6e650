# SPDX-License-Identifier: Apache-2.0
"""swin_transformer_v2: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=16, num_heads=(1, 2, 4, 8), depths=(2, 2, 2, 1))
GRADIENTS = [
    ("swinv2_tiny_window8_256", dict(SMALL, img_size=64, window_size=4), 64, False),
]
FIRST_VALUES = ["swinv2_tiny_window8_256"]
LEVELS = [
    ("swinv2_tiny_window8_256", dict(SMALL, img_size=64, window_size=4), (2, 64, 64), "avg"),
]
VARIATIONS = [
    ("swinv2_tiny_window8_256", dict(SMALL, in_chans=4, img_size=(160, 96), window_size=(4, 6), global_pool="max"), (1, 160, 96)),
    ("swinv2_tiny_window16_256", dict(in_chans=1, num_classes=7, img_size=(96, 128), depths=(1, 2, 2, 1)), (3, 96, 128)),
    ("swinv2_base_window12to16_192to256", dict(SMALL, img_size=64, window_size=(4, 4, 8, 4), always_partition=True, num_classes=0,
                                               global_pool="", act_layer="relu"), (1, 64, 64)),
    ("swinv2_tiny_window8_256", dict(SMALL, img_size=(96, 64), strict_img_size=False, patch_size=2, mlp_ratio=2.5, qkv_bias=False,
                                     window_size=((6, 4), (4, 8), (8, 8), (3, 2)), pretrained_window_sizes=(0, 6, 3, 2)), (2, 74, 102)),
]
