# SPDX-License-Identifier: Apache-2.0
"""deepseek_vit: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=32, depth=4, num_heads=2, out_features=24)
GRADIENTS = [
    ("deepseek_vit_412m", dict(SMALL, depth=2), 56, False),
    ("deepseek_vit_412m_align", dict(SMALL, depth=2), 56, False),
]
FIRST_VALUES = [("deepseek_vit_412m_align", dict(embed_dim=64, depth=1, num_heads=2, out_features=32, num_classes=40))]
LEVELS = [
    ("deepseek_vit_412m_align", dict(SMALL, num_classes=9), (2, 56, 84), "avg"),
    ("deepseek_vit_412m", dict(SMALL, num_classes=9), (1, 56, 84), "avg"),
    ("deepseek_vit_412m_enc", SMALL, (1, 56, 84), None),
]
VARIATIONS = [
    ("deepseek_vit_412m", dict(SMALL, in_chans=1, num_classes=7), (3, 56, 84)),
    ("deepseek_vit_412m_align", dict(SMALL, num_classes=5, dynamic_img_pad=True, downsample_ratio=2), (1, 60, 90)),
    ("deepseek_vit_412m", dict(SMALL, num_classes=0, patch_size=16, final_norm=False, global_pool=""), (1, 64, 48)),
]
