# SPDX-License-Identifier: Apache-2.0
"""senet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("legacy_seresnet18", dict(layers=(1, 1, 1, 1), drop_rate=0.0), 64, False),
    ("legacy_seresnet18", dict(layers=(1, 1, 1, 1), drop_rate=0.0), 96, True),
]
FIRST_VALUES = ["legacy_seresnet18"]
LEVELS = [
    ("legacy_seresnet18", dict(layers=(1, 1, 1, 1)), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("legacy_seresnext26_32x4d", dict(layers=(1, 1, 1, 1), in_chans=1, num_classes=7), (2, 97, 131)),
    ("legacy_senet154", dict(layers=(1, 1, 1, 1), num_classes=5, global_pool="max"), (1, 64, 80)),
]
