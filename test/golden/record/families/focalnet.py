# SPDX-License-Identifier: Apache-2.0
"""focalnet: what is recorded of it beside the figures of its names."""
SMALL = dict(depths=(1, 1, 1, 1), embed_dim=16)
GRADIENTS = [
    ("focalnet_tiny_srf", SMALL, 64, False),
    ("focalnet_large_fl3", dict(SMALL, focal_levels=(2, 2, 1, 1), focal_windows=(3, 3, 3, 3)), 64, False),
]
FIRST_VALUES = [("focalnet_tiny_srf", dict(embed_dim=32)), ("focalnet_large_fl3", SMALL)]
LEVELS = [
    ("focalnet_tiny_srf", SMALL, (2, 64, 96), "avg"),
    ("focalnet_tiny_lrf", dict(SMALL, head_hidden_size=24), (1, 64, 64), "avg"),
]
VARIATIONS = [
    ("focalnet_tiny_lrf", dict(SMALL, in_chans=1, num_classes=7), (3, 97, 131)),
    ("focalnet_large_fl4", dict(SMALL, num_classes=5, mlp_ratio=2.5), (1, 64, 80)),
    ("focalnet_huge_fl3", dict(SMALL, num_classes=0, normalize_modulator=True, global_pool="max"), (2, 80, 72)),
    ("focalnet_tiny_srf", dict(SMALL, global_pool="catavgmax"), (1, 64, 64)),
]
