# SPDX-License-Identifier: Apache-2.0
"""fasternet: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=16, depths=(1, 1, 2, 1), feature_dim=40)
GRADIENTS = [
    ("fasternet_t0", SMALL, 32, False),
    ("fasternet_t0", dict(layer_scale_init_value=0.1, **SMALL), 96, True),
]
FIRST_VALUES = ["fasternet_t0"]
LEVELS = [
    ("fasternet_t0", SMALL, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("fasternet_t0", dict(in_chans=1, num_classes=7), (2, 97, 131)),
    ("fasternet_t2", dict(num_classes=0, n_div=2, layer_scale_init_value=0.5, patch_norm=False, global_pool="max", **SMALL), (3, 64, 80)),
]
