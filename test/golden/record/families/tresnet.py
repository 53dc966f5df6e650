# SPDX-License-Identifier: Apache-2.0
"""tresnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("tresnet_m", dict(layers=(1, 1, 1, 1), width_factor=0.25), 64, False),
    ("tresnet_m", dict(layers=(1, 1, 1, 1), width_factor=0.25), 96, True),
]
FIRST_VALUES = ["tresnet_m"]
LEVELS = [
    ("tresnet_m", dict(layers=(1, 1, 1, 1), width_factor=0.25), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("tresnet_v2_l", dict(layers=(1, 1, 1, 1), width_factor=0.25, in_chans=1, num_classes=7), (2, 96, 128)),
    ("tresnet_l", dict(layers=(1, 2, 1, 1), width_factor=0.4, num_classes=5, global_pool="max"), (3, 100, 132)),
]
