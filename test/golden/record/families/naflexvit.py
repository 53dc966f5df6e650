# SPDX-License-Identifier: Apache-2.0
"""naflexvit: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=32, depth=4, num_heads=2)
GRADIENTS = [
    ("naflexvit_base_patch16_gap", dict(SMALL, depth=2, pos_embed_grid_size=(3, 3)), 48, False),
    ("naflexvit_base_patch16_map", dict(SMALL, depth=2, pos_embed_grid_size=(3, 3)), 48, False),
]
FIRST_VALUES = [("naflexvit_base_patch16_map", dict(embed_dim=64, depth=2, num_heads=2, num_classes=40)), ("naflexvit_base_patch16_radio_v3", dict(embed_dim=64, depth=1, num_heads=2))]
LEVELS = [
    ("naflexvit_base_patch16_gap", SMALL, (2, 64, 96), "avg"),
    ("naflexvit_base_patch16_map", SMALL, (1, 64, 96), "avg"),
    ("naflexvit_base_patch16_radio_v3", dict(SMALL, num_classes=9), (1, 64, 96), "token"),
]
VARIATIONS = [
    ("naflexvit_base_patch16_gap", dict(SMALL, in_chans=1, num_classes=7), (3, 64, 96)),
    ("naflexvit_base_patch16_par_gap", dict(SMALL, num_classes=5, dynamic_img_pad=True), (1, 97, 131)),
    ("naflexvit_base_patch16_parfac_gap", dict(SMALL, num_classes=5), (1, 64, 320)),
    ("naflexvit_base_patch16_siglip", dict(SMALL, num_classes=3, embed_proj_type="conv"), (2, 320, 304)),
    ("naflexvit_base_patch16_radio_v3", dict(SMALL, num_classes=3, pre_norm=True), (1, 96, 48)),
    ("naflexvit_so400m_patch16_radio_v4", dict(SMALL, num_classes=3, patchify_channels_last=False), (1, 96, 48)),
]
