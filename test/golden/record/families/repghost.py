# SPDX-License-Identifier: Apache-2.0
"""repghost: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("repghostnet_050", dict(width=0.25, drop_rate=0.0), 64, False),
    ("repghostnet_050", dict(width=0.25, drop_rate=0.0), 96, True),
]
FIRST_VALUES = ["repghostnet_050"]
LEVELS = [
    ("repghostnet_050", dict(width=0.3), (1, 96, 64), "max"),
]
VARIATIONS = [
    ("repghostnet_130", dict(width=0.5, in_chans=1, num_classes=7), (2, 97, 131)),
    ("repghostnet_058", dict(reparam=False, num_classes=5, global_pool="avgmax"), (3, 64, 80)),
]
