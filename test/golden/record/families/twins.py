# SPDX-License-Identifier: Apache-2.0
"""twins: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dims=(16, 32, 48, 64), num_heads=(1, 2, 3, 4), depths=(2, 2, 2, 2))
GRADIENTS = [
    ("twins_svt_small", dict(SMALL, img_size=64, wss=(4, 4, 3, 2)), 64, False),
    ("twins_pcpvt_small", dict(SMALL, img_size=64, mlp_ratios=(2, 2, 2, 2)), 64, False),
]
FIRST_VALUES = [("twins_svt_small", SMALL), ("twins_pcpvt_small", SMALL)]
LEVELS = [
    ("twins_svt_small", dict(SMALL, img_size=(64, 96), wss=(4, 4, 3, 2)), (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("twins_svt_small", dict(SMALL, in_chans=1, num_classes=7, img_size=(96, 128), wss=(7, 7, 7, 7)), (3, 96, 128)),
    ("twins_pcpvt_small", dict(SMALL, num_classes=0, img_size=64, sr_ratios=(4, 4, 2, 1)), (2, 96, 64)),
    ("twins_svt_base", dict(SMALL, img_size=64, wss=(4, 1, 4, 3), global_pool=""), (1, 64, 64)),
]
