# SPDX-License-Identifier: Apache-2.0
"""gcvit: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 2, 4))
GRADIENTS = [
    ("gcvit_xxtiny", dict(SMALL, img_size=64), 64, False),
    ("gcvit_small", dict(SMALL, img_size=64, layer_scale=0.5, qkv_bias=False), 64, False),
]
FIRST_VALUES = [("gcvit_xxtiny", SMALL), ("gcvit_small", dict(SMALL, weight_init="vit")), ("gcvit_xxtiny", dict(SMALL, weight_init="normal"))]
LEVELS = [
    ("gcvit_xxtiny", dict(SMALL, img_size=(64, 96)), (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("gcvit_xxtiny", dict(SMALL, in_chans=1, num_classes=7, img_size=(96, 64), mlp_ratio=2.5), (3, 96, 64)),
    ("gcvit_xtiny", dict(SMALL, img_size=64, window_ratio=(16, 32, 32, 32), act_layer="relu", global_pool="catavgmax"), (2, 64, 64)),
    ("gcvit_base", dict(SMALL, img_size=64, num_classes=0, window_size=(4, 2, 4, 2), qkv_bias=False, norm_eps=1e-3), (1, 64, 64)),
]
