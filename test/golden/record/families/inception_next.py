# SPDX-License-Identifier: Apache-2.0
"""inception_next: what is recorded of it beside the figures of its names."""
SMALL = dict(depths=(1, 1, 1, 1), dims=(16, 24, 32, 40))
GRADIENTS = [
    ("inception_next_atto", SMALL, 32, False),
    ("inception_next_atto", SMALL, 64, True),
]
FIRST_VALUES = ["inception_next_atto"]
LEVELS = [
    ("inception_next_atto", SMALL, (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("inception_next_atto", dict(in_chans=1, num_classes=7, depths=(1, 1, 2, 1)), (3, 97, 131)),
    ("inception_next_atto", dict(output_stride=8, depths=(1, 2, 1, 1), mlp_ratios=(3, 2, 2, 1), global_pool="max"), (1, 64, 80)),
    ("inception_next_tiny", dict(num_classes=0, output_stride=16, depths=(1, 1, 1, 1), dims=(24, 32, 48, 64)), (2, 80, 72)),
]
