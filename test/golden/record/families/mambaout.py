# SPDX-License-Identifier: Apache-2.0
"""mambaout: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("test_mambaout", {}, 32, False),
    ("mambaout_femto", dict(depths=(1, 1, 1, 1), dims=(16, 24, 32, 40)), 32, False),
]
FIRST_VALUES = ["test_mambaout"]
LEVELS = [
    ("test_mambaout", {}, (2, 64, 96), "avg"),
    ("mambaout_femto", dict(depths=(1, 1, 1, 1), dims=(16, 24, 32, 40)), (1, 64, 64), "avg"),
]
VARIATIONS = [
    ("test_mambaout", dict(in_chans=1, num_classes=7, conv_ratio=1.5), (3, 97, 131)),
    ("mambaout_femto", dict(depths=(1, 2, 1, 1), dims=(16, 24, 32, 40), kernel_size=5, stem_mid_norm=False, global_pool=""), (1, 64, 80)),
    ("test_mambaout", dict(num_classes=0, downsample="conv", global_pool="max"), (2, 80, 72)),
]
