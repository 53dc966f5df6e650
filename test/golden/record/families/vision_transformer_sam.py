# SPDX-License-Identifier: Apache-2.0
"""vision_transformer_sam: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=32, depth=3, num_heads=2, window_size=3, global_attn_indexes=(1,), neck_chans=16)
GRADIENTS = [
    ("samvit_base_patch16", dict(SMALL, img_size=64), 64, False),
    ("samvit_base_patch16_224", dict(SMALL, img_size=64, neck_chans=0, qk_norm=True, init_values=0.5), 64, False, ("k_norm.bias",)),  # softmax does not see it
]
FIRST_VALUES = [("samvit_base_patch16", SMALL), ("samvit_base_patch16_224", dict(SMALL, neck_chans=0, head_hidden_size=24))]
LEVELS = [
    ("samvit_base_patch16", dict(SMALL, img_size=(64, 96), num_classes=9), (2, 64, 96), "avg"),
    ("samvit_base_patch16_224", dict(SMALL, img_size=64, neck_chans=0), (1, 64, 64), "avg"),
]
VARIATIONS = [
    ("samvit_base_patch16", dict(SMALL, in_chans=1, num_classes=7, img_size=(96, 64), mlp_ratio=2.5, qkv_bias=False), (3, 96, 64)),
    ("samvit_base_patch16", dict(SMALL, num_classes=7, img_size=64, global_pool="max", pre_norm=True), (2, 96, 128)),
    ("samvit_base_patch16_224", dict(SMALL, img_size=96, neck_chans=0, head_hidden_size=24, use_rel_pos=False, use_rope=True), (1, 96, 96)),
    ("samvit_large_patch16", dict(SMALL, img_size=64, num_classes=5, window_size=0, init_values=0.5, qk_norm=True), (1, 64, 64)),
]
