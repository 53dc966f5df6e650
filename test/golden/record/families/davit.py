# SPDX-License-Identifier: Apache-2.0
"""davit: what is recorded of it beside the figures of its names."""
SMALL = dict(depths=(1, 1, 1, 1), embed_dims=(16, 32, 48, 64), num_heads=(1, 2, 3, 4), window_size=4)
GRADIENTS = [
    ("davit_tiny", SMALL, 64, False),
    ("davit_base_fl", SMALL, 64, False),
]
FIRST_VALUES = ["davit_tiny"]
LEVELS = [
    ("davit_tiny", SMALL, (2, 64, 96), "avg"),
    ("davit_base_fl", dict(SMALL, num_classes=9, head_norm_first=True), (1, 64, 64), "max"),
]
VARIATIONS = [
    ("davit_tiny", dict(SMALL, in_chans=1, num_classes=7, window_size=7), (3, 97, 131)),
    ("davit_base_fl", dict(SMALL, num_classes=5, window_size=3, cpe_act=True, qkv_bias=False), (1, 64, 80)),
    ("davit_tiny", dict(SMALL, num_classes=0, global_pool="max", attn_types=("channel", "spatial"), mlp_ratio=2), (2, 80, 72)),
]
