# SPDX-License-Identifier: Apache-2.0
"""mlp_mixer: what is recorded of it beside the figures of its names."""
# A norm over channels does not see what all of them have in common: gradients of biases over tokens vanish, which train mode allows.
GRADIENTS = [
    ("gmixer_12_224", dict(img_size=32, num_blocks=1, embed_dim=32), 32, True),
    ("resmlp_12_224", dict(img_size=32, num_blocks=1, embed_dim=32), 32, False),
    ("gmlp_ti16_224", dict(img_size=32, num_blocks=1, embed_dim=32), 32, True),
]
FIRST_VALUES = ["gmixer_12_224"]
LEVELS = [
    ("resmlp_12_224", dict(img_size=(32, 48), num_blocks=4, embed_dim=64), (1, 32, 48), "avg"),
]
VARIATIONS = [
    ("mixer_s32_224", dict(in_chans=1, num_classes=7, img_size=(64, 96), num_blocks=3, stem_norm=True), (3, 64, 96)),
    ("gmixer_24_224", dict(num_blocks=3), (1, 224, 224)),
    ("gmlp_ti16_224", dict(img_size=64, num_blocks=3, global_pool=""), (2, 64, 64)),
    ("resmlp_24_224", dict(img_size=(48, 64), num_blocks=3, mlp_ratio=3, patch_size=8), (1, 48, 64)),
]
