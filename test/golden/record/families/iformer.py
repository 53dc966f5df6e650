# SPDX-License-Identifier: Apache-2.0
"""iformer: what is recorded of it beside the figures of its names."""
SMALL = dict(dims=(16, 24, 32, 48), depths=(1, 1, 5, 3), attn_groups=(0, 0, 1, 1))
GRADIENTS = [
    ("iformer_t", SMALL, 64, False, ("k.bn.bias",)),
    ("iformer_h", dict(SMALL, layer_scale_init_value=0.5), 96, True),
]
FIRST_VALUES = [("iformer_m_distilled", SMALL)]
LEVELS = [
    ("iformer_t", SMALL, (1, 64, 96), "avg"),
]
VARIATIONS = [
    ("iformer_t", dict(SMALL, in_chans=1, num_classes=7, conv_ratio=2, attn_ratio=2), (2, 97, 131)),
    ("iformer_l_distilled", dict(SMALL, num_classes=5, layer_scale_init_value=0.1, attn_head_dim_reduction=(0, 1, 1, 3), attn_groups=(0, 0, 1, 0)), (3, 64, 80)),
    ("iformer_s", dict(SMALL, num_classes=0, global_pool="", dims=(16, 16, 32, 48)), (1, 64, 64)),
]
