# SPDX-License-Identifier: Apache-2.0
"""tiny_vit: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dims=(16, 32, 48, 64), depths=(1, 1, 2, 1), num_heads=(1, 2, 3, 4), window_sizes=(7, 4, 6, 3))
GRADIENTS = [
    ("tiny_vit_5m_224", SMALL, 64, False),
    ("tiny_vit_21m_224", dict(SMALL, drop_path_rate=0), 96, True),
]
FIRST_VALUES = [("tiny_vit_5m_224", SMALL)]
LEVELS = [
    ("tiny_vit_5m_224", SMALL, (1, 64, 96), "avg"),
]
VARIATIONS = [
    ("tiny_vit_5m_224", dict(SMALL, in_chans=1, num_classes=7), (2, 97, 131)),
    ("tiny_vit_21m_512", dict(SMALL, num_classes=0, global_pool="max", mlp_ratio=3, mbconv_expand_ratio=2), (3, 64, 80)),
    ("tiny_vit_11m_224", dict(SMALL, num_classes=5, local_conv_size=5, mlp_ratio=2), (1, 64, 64)),
]
