# SPDX-License-Identifier: Apache-2.0
"""edgenext: what is recorded of it beside the figures of its names."""
SMALL = dict(depths=(1, 2, 2, 2), dims=(16, 24, 36, 48))
GRADIENTS = [
    ("edgenext_xx_small", SMALL, 64, False),
    ("edgenext_small_rw", dict(depths=(1, 2, 2, 2), dims=(16, 32, 64, 128)), 64, False),
]
FIRST_VALUES = ["edgenext_xx_small"]
LEVELS = [
    ("edgenext_xx_small", SMALL, (2, 64, 96), "avg"),
    ("edgenext_xx_small", dict(SMALL, head_norm_first=True), (1, 64, 64), "max"),
]
VARIATIONS = [
    ("edgenext_xx_small", dict(in_chans=1, num_classes=7), (3, 97, 131)),
    ("edgenext_xx_small", dict(SMALL, downsample_block=False, expand_ratio=3, stem_type="overlap", global_pool=""), (1, 64, 80)),
    ("edgenext_small_rw", dict(depths=(1, 2, 2, 2), dims=(16, 32, 64, 128), num_classes=0, global_pool="max"), (2, 80, 72)),
]
