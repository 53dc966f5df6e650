# SPDX-License-Identifier: Apache-2.0
"""pnasnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("pnasnet5large", dict(pad_type=""), 80, False),
    ("pnasnet5large", {}, 96, True),
]
FIRST_VALUES = ["pnasnet5large"]
LEVELS = [
    ("pnasnet5large", {}, (1, 64, 64), "max"),
]
VARIATIONS = [
    ("pnasnet5large", dict(in_chans=1, num_classes=7), (2, 97, 131)),
]
