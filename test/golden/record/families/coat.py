# SPDX-License-Identifier: Apache-2.0
"""coat: what is recorded of it beside the figures of its names."""
LITE = dict(embed_dims=(16, 24, 32, 40), serial_depths=(1, 1, 1, 2))
FULL = dict(embed_dims=(16, 24, 24, 24), serial_depths=(1, 1, 1, 1), parallel_depth=2, num_heads=8)
GRADIENTS = [
    ("coat_lite_tiny", dict(LITE, img_size=64), 64, False),
    ("coat_tiny", dict(FULL, img_size=64), 64, False),
]
FIRST_VALUES = ["coat_lite_tiny"]
LEVELS = [
    ("coat_lite_tiny", dict(LITE, img_size=(64, 96)), (2, 64, 96), "avg"),
    ("coat_tiny", dict(FULL, img_size=(64, 96)), (1, 64, 96), None),
]
VARIATIONS = [
    ("coat_lite_tiny", dict(LITE, in_chans=1, num_classes=7, img_size=(96, 64), qkv_bias=False), (3, 96, 64)),
    ("coat_tiny", dict(FULL, num_classes=5, img_size=(96, 64), global_pool="avg"), (2, 96, 64)),
    ("coat_mini", dict(FULL, num_classes=0, img_size=64, mlp_ratios=(1, 2, 2, 2)), (1, 64, 64)),
]
