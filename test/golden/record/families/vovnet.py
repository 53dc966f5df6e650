# SPDX-License-Identifier: Apache-2.0
"""vovnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("ese_vovnet19b_slim_dw", {}, 32, False),
    ("ese_vovnet19b_slim_dw", {}, 64, True),
]
FIRST_VALUES = ["ese_vovnet19b_slim_dw"]
LEVELS = [
    ("ese_vovnet19b_slim_dw", {}, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("ese_vovnet19b_slim", dict(in_chans=1, num_classes=7), (2, 97, 131)),
    ("ese_vovnet19b_slim_dw", dict(num_classes=5, global_pool="catavgmax", attn="eca"), (3, 64, 80)),
]
