# SPDX-License-Identifier: Apache-2.0
"""cspnet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("cs3darknet_focus_s", {}, 32, False),
    ("cs3darknet_focus_s", {}, 96, True),
]
FIRST_VALUES = ["cs3darknet_focus_s"]
LEVELS = [
    ("cs3darknet_focus_s", {}, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("cs3darknet_s", dict(in_chans=1, num_classes=7, output_stride=16), (2, 97, 131)),
    ("sedarknet21", dict(num_classes=5, output_stride=8, global_pool="max"), (1, 64, 80)),
    ("cspresnet50", dict(num_classes=0, global_pool="catavgmax", act_layer="silu"), (3, 64, 80)),
]
