# SPDX-License-Identifier: Apache-2.0
"""pit: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("pit_ti_distilled_224", dict(img_size=48, depth=(1, 1, 1), heads=(1, 1, 2)), 48, False),
]
FIRST_VALUES = ["pit_ti_distilled_224"]
LEVELS = [
    ("pit_ti_224", dict(img_size=(64, 48), depth=(1, 2, 1)), (1, 64, 48), "token"),
    ("pit_ti_distilled_224", dict(img_size=48, depth=(1, 1, 1)), (2, 48, 48), "token"),
]
VARIATIONS = [
    ("pit_ti_224", dict(in_chans=1, num_classes=7, depth=(1, 1, 1)), (1, 224, 224)),
    ("pit_b_224", dict(img_size=70, depth=(1, 1, 1), global_pool=""), (1, 70, 70)),
]
