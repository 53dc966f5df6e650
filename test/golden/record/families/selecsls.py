# SPDX-License-Identifier: Apache-2.0
"""selecsls: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("selecsls42b", {}, 64, False),
    ("selecsls42b", {}, 128, True),
]
FIRST_VALUES = ["selecsls42b"]
LEVELS = [
    ("selecsls42b", {}, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("selecsls60b", dict(in_chans=1, num_classes=7), (2, 128, 96)),
    ("selecsls42", dict(num_classes=0, global_pool="max"), (3, 97, 131)),
]
