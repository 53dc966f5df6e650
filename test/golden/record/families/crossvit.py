# SPDX-License-Identifier: Apache-2.0
"""crossvit: what is recorded of it beside the figures of its names."""
SMALL = dict(img_size=60, img_scale=(1.0, 0.8), embed_dim=(16, 24), num_heads=(2, 3), depth=((1, 2, 0), (1, 1, 0), (1, 1, 0)))
GRADIENTS = [
    ("crossvit_9_dagger_240", dict(SMALL, depth=((1, 1, 0),), qkv_bias=False), 60, False),
]
FIRST_VALUES = ["crossvit_tiny_240"]
LEVELS = [
    ("crossvit_9_240", SMALL, (2, 60, 60), "avg"),
]
VARIATIONS = [
    ("crossvit_9_dagger_240", dict(SMALL, in_chans=1, num_classes=7, img_size=(60, 120)), (3, 60, 120)),
    ("crossvit_tiny_240", dict(SMALL, crop_scale=True, depth=((1, 2, 1), (1, 2, 2), (1, 1, 0)), global_pool="avg"), (2, 60, 60)),
    ("crossvit_9_240", dict(SMALL, num_classes=0, qkv_bias=False), (1, 97, 71)),
]
