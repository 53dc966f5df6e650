# SPDX-License-Identifier: Apache-2.0
"""gemma4_vit: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=32, depth=4, num_heads=2, head_dim=16, intermediate_size=48, position_embedding_size=48)
GRADIENTS = [
    ("gemma4_vit_167m", dict(SMALL, depth=2), 48, False),
    ("gemma4_vit_570m", dict(SMALL, depth=2, encoder_pool="soft"), 48, False),
]
FIRST_VALUES = [("gemma4_vit_570m", dict(SMALL, embed_dim=64, depth=1, num_classes=40))]
LEVELS = [
    ("gemma4_vit_167m", dict(SMALL, num_classes=9), (2, 48, 96), "avg"),
    ("gemma4_vit_570m_enc", SMALL, (1, 96, 48), None),
]
VARIATIONS = [
    ("gemma4_vit_167m", dict(SMALL, in_chans=1, num_classes=7), (3, 48, 96)),
    ("gemma4_vit_570m", dict(SMALL, num_classes=5, encoder_pool="soft", num_kv_heads=1), (1, 96, 48)),
    ("gemma4_vit_570m", dict(SMALL, num_classes=0, patch_size=8, final_norm=False, global_pool=""), (1, 48, 48)),
]
