# SPDX-License-Identifier: Apache-2.0
"""hrnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("hrnet_w18_small", {}, 32, False),
    ("hrnet_w18_small", {}, 64, True),
]
FIRST_VALUES = ["hrnet_w18_small"]
LEVELS = [
    ("hrnet_w18_small", {}, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("hrnet_w18_small", dict(in_chans=1, num_classes=7, stem_width=32), (2, 96, 64)),
    ("hrnet_w18_small_v2", dict(num_classes=0, global_pool="catavgmax", head_conv_bias=False), (3, 64, 96)),
]
