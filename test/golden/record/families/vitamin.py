# SPDX-License-Identifier: Apache-2.0
"""vitamin: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("vitamin_small_224", dict(img_size=64, depth=1), 64, False),
]
FIRST_VALUES = [("vitamin_small_224", dict(img_size=64, depth=1))]
LEVELS = [
    ("vitamin_small_224", dict(img_size=(64, 96), depth=3), (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("vitamin_small_224", dict(in_chans=1, num_classes=7, img_size=(64, 96), depth=3), (3, 64, 96)),
    ("vitamin_small_224", dict(dynamic_img_size=True, depth=3, global_pool="max"), (1, 96, 128)),
    ("vitamin_small_224", dict(num_classes=0, depth=3, img_size=(64, 48), init_values=0.1, qk_norm=True), (1, 64, 48)),
]
