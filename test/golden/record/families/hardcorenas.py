# SPDX-License-Identifier: Apache-2.0
"""hardcorenas: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("hardcorenas_a", {}, 32, False),
    ("hardcorenas_a", {}, 96, True),
]
FIRST_VALUES = ["hardcorenas_a"]
LEVELS = [
    ("hardcorenas_a", {}, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("hardcorenas_b", dict(in_chans=1, num_classes=7), (2, 97, 131)),
    ("hardcorenas_f", dict(num_classes=7), (1, 64, 80), dict(output_stride=16)),
]
