# SPDX-License-Identifier: Apache-2.0
"""qwen3_vit: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=32, depth=4, num_heads=2, out_features=24)
GRADIENTS = [
    ("qwen3_vit_88m", dict(SMALL, depth=2, pos_embed_grid_size=4), 64, False),
    ("qwen3_vit_88m_merge", dict(SMALL, depth=2, pos_embed_grid_size=4), 64, False),
]
FIRST_VALUES = [("qwen3_vit_88m_merge", dict(embed_dim=64, depth=1, num_heads=2, out_features=32, num_classes=40))]
LEVELS = [
    ("qwen3_vit_88m_merge", dict(SMALL, num_classes=9), (2, 64, 96), "avg"),
    ("qwen3_vit_88m", dict(SMALL, num_classes=9), (1, 64, 96), "avg"),
    ("qwen3_vit_88m_enc", SMALL, (1, 64, 96), None),
]
VARIATIONS = [
    ("qwen3_vit_88m", dict(SMALL, in_chans=1, num_classes=7), (3, 64, 96)),
    ("qwen3_vit_88m_merge", dict(SMALL, num_classes=5, merge_size=3, out_features=0), (1, 48, 96)),
    ("qwen3_vit_416m", dict(SMALL, num_classes=0, patch_size=8, final_norm=False, global_pool=""), (1, 64, 48)),
]
