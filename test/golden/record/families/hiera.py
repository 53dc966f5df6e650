# SPDX-License-Identifier: Apache-2.0
"""hiera: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=16, num_heads=1, stages=(1, 2, 2, 1))
GRADIENTS = [
    ("hiera_tiny_224", dict(SMALL, img_size=64), 64, False),
    ("hiera_small_abswin_256", dict(SMALL, img_size=64, global_pos_size=(4, 4)), 64, False),
]
FIRST_VALUES = [
    "hiera_tiny_224",
    ("hiera_small_abswin_256", dict(stages=(1, 1, 2, 1))),
]
LEVELS = [
    ("hiera_tiny_224", dict(SMALL, img_size=64), (2, 64, 64), "avg"),
    ("hiera_base_abswin_256", dict(SMALL, img_size=(64, 96), q_pool=2), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("hiera_tiny_224", dict(SMALL, in_chans=1, num_classes=7, img_size=(128, 96), mask_unit_attn=(1, 0, 1, 1), drop_rate=0.1), (3, 128, 96)),
    ("hiera_small_abswin_256", dict(SMALL, img_size=96, global_pool="max", mlp_ratio=3, head_mul=1.0, global_pos_size=(5, 7)), (1, 96, 96)),
    ("hiera_base_abswin_256", dict(SMALL, img_size=(96, 64), num_classes=0, global_pool="", mask_unit_size=(8, 4), dim_mul=1.5, head_mul=1.0, q_pool=2,
                                   patch_kernel=(5, 5), patch_padding=(2, 2)), (2, 96, 64)),
]
