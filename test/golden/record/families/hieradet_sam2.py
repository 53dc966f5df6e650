# SPDX-License-Identifier: Apache-2.0
"""hieradet_sam2: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=16, num_heads=1, stages=(1, 2, 3, 1), global_att_blocks=(2, 4))
GRADIENTS = [
    ("sam2_hiera_tiny", SMALL, 64, False),
    ("hieradet_small", dict(SMALL, global_att_blocks=(4,)), 96, False),
]
FIRST_VALUES = ["sam2_hiera_tiny", ("hieradet_small", dict(stages=(1, 1, 2, 1), global_att_blocks=(2,), weight_init="jax"))]
LEVELS = [
    ("sam2_hiera_tiny", dict(SMALL, num_classes=10), (2, 64, 96), "avg"),
    ("hieradet_small", dict(SMALL, q_pool=2), (1, 96, 64), "max"),
]
VARIATIONS = [
    ("sam2_hiera_tiny", dict(SMALL, in_chans=1, num_classes=7), (3, 96, 160)),
    ("sam2_hiera_base_plus", dict(SMALL, num_classes=5, num_heads=2, global_pos_size=(6, 3), window_spec=(4, 4, 7, 2), act_layer="relu",
                                  global_pool="max"), (1, 80, 112)),
    ("hieradet_small", dict(SMALL, num_classes=0, global_pool="", patch_size=(4, 4), q_pool=1, dim_mul=1.5, head_mul=1.0),
     (2, 93, 64)),
]
