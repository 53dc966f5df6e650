# SPDX-License-Identifier: Apache-2.0
"""nasnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("nasnetalarge", dict(stem_size=8, num_features=192), 64, False),
    ("nasnetalarge", dict(stem_size=8, num_features=192), 128, True),
]
FIRST_VALUES = [("nasnetalarge", dict(stem_size=8, num_features=192))]
LEVELS = [
    ("nasnetalarge", dict(stem_size=8, num_features=192), (1, 64, 96), None),
]
VARIATIONS = [
    ("nasnetalarge", dict(stem_size=8, num_features=192, in_chans=1, num_classes=7), (2, 97, 131)),
    ("nasnetalarge", dict(stem_size=8, num_features=192, num_classes=0, pad_type="", global_pool="catavgmax"), (3, 80, 64)),
]
