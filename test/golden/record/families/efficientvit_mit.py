# SPDX-License-Identifier: Apache-2.0
"""efficientvit_mit: what is recorded of it beside the figures of its names."""
SMALL = dict(widths=(8, 16, 24, 32, 48), depths=(1, 1, 2, 1, 1), head_dim=8, head_widths=(64, 80))
GRADIENTS = [
    ("efficientvit_b0", SMALL, 96, False),
    ("efficientvit_l1", SMALL, 64, False),
    ("efficientvit_b0", SMALL, 96, True),
]
FIRST_VALUES = [("efficientvit_b0", SMALL), ("efficientvit_l1", SMALL)]
LEVELS = [
    ("efficientvit_b0", SMALL, (2, 64, 96), "avg"),
    ("efficientvit_l1", SMALL, (1, 64, 64), "avg"),
]
VARIATIONS = [
    ("efficientvit_b0", dict(SMALL, in_chans=1, num_classes=7, expand_ratio=3), (3, 97, 131)),
    ("efficientvit_b1", dict(SMALL, num_classes=5, expand_ratio=1, head_dim=16), (1, 64, 96)),
    ("efficientvit_l2", dict(SMALL, num_classes=0, global_pool="max", norm_eps=1e-5, depths=(2, 1, 1, 2, 1)), (2, 80, 64)),
]
