# SPDX-License-Identifier: Apache-2.0
"""repvit: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=(16, 24, 32, 48), depth=(2, 1, 2, 1))
SHALLOW = dict(embed_dim=(16, 24, 32, 48), depth=(1, 1, 1, 1))
GRADIENTS = [
    ("repvit_m1", SHALLOW, 64, False),
    ("repvit_m0_9", SHALLOW, 96, True),
]
FIRST_VALUES = ["repvit_m0_9"]
LEVELS = [
    ("repvit_m0_9", SHALLOW, (1, 64, 96), "avg"),
]
VARIATIONS = [
    ("repvit_m0_9", dict(in_chans=1, num_classes=7), (2, 97, 131)),
    ("repvit_m1", dict(num_classes=5, distillation=False, kernel_size=5, mlp_ratio=3, **SMALL), (3, 64, 80)),
]
