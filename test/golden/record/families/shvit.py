# SPDX-License-Identifier: Apache-2.0
"""shvit: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=(32, 48, 64), partial_dim=(8, 12, 17), depth=(1, 1, 1))
GRADIENTS = [
    ("shvit_s1", SMALL, 64, False),
    ("shvit_s3", SMALL, 128, True),
]
FIRST_VALUES = [("shvit_s1", SMALL)]
LEVELS = [
    ("shvit_s1", SMALL, (1, 64, 128), "avg"),
]
VARIATIONS = [
    ("shvit_s1", dict(SMALL, in_chans=1, num_classes=7), (2, 97, 131)),
    ("shvit_s4", dict(SMALL, num_classes=0, global_pool="max", types=("s", "i", "s"), qk_dim=(8, 16, 24)), (3, 64, 80)),
    ("shvit_s2", dict(SMALL, num_classes=5, embed_dim=(32, 32, 48), depth=(1, 2, 0)), (1, 128, 128)),
]
