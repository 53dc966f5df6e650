# SPDX-License-Identifier: Apache-2.0
"""volo: what is recorded of it beside the figures of its names."""
SMALL = dict(layers=(1, 1, 1, 1), embed_dims=(16, 32, 32, 32), num_heads=(1, 2, 2, 2), stem_hidden_dim=8)
GRADIENTS = [
    ("volo_d1_224", dict(SMALL, img_size=64), 64, False),
    ("volo_d1_224", dict(SMALL, img_size=64, qkv_bias=True), 64, True),
]
FIRST_VALUES = [("volo_d1_224", SMALL)]
LEVELS = [
    ("volo_d1_224", dict(SMALL, img_size=(64, 96)), (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("volo_d1_224", dict(SMALL, in_chans=1, num_classes=7, img_size=(96, 64), mlp_ratio=2.5, qkv_bias=True), (3, 96, 64)),
    ("volo_d3_224", dict(SMALL, img_size=64, use_aux_head=False, global_pool="avg", layers=(2, 1, 1, 2)), (2, 64, 64)),
    ("volo_d5_224", dict(SMALL, img_size=96, num_classes=0, patch_size=16), (1, 96, 96)),
    ("volo_d2_224", dict(SMALL, img_size=64, global_pool=""), (1, 64, 64)),
]
