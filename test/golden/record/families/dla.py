# SPDX-License-Identifier: Apache-2.0
"""dla: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("dla46x_c", {}, 32, False),
    ("dla46x_c", {}, 64, True),
]
FIRST_VALUES = ["dla46x_c"]
LEVELS = [
    ("dla46x_c", {}, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("dla46_c", dict(in_chans=1, num_classes=7), (2, 96, 64)),
    ("dla46x_c", dict(levels=(1, 2, 2, 1, 3, 2), shortcut_root=True, num_classes=5, global_pool=""), (3, 64, 64)),
]
