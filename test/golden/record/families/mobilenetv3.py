# SPDX-License-Identifier: Apache-2.0
"""mobilenetv3: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("mobilenetv3_small_050", {}, 32, False),
    ("mobilenetv3_small_050", {}, 96, True),
]
FIRST_VALUES = ["mobilenetv3_small_050"]
LEVELS = [
    ("mobilenetv3_small_050", {}, (1, 96, 64), "max"),
]
VARIATIONS = [
    ("lcnet_035", dict(global_pool="catavgmax"), (1, 80, 72)),
    ("mobilenetv3_large_075", dict(in_chans=4, num_classes=7), (1, 64, 80), dict(output_stride=8)),
    ("mobilenetv3_small_100", dict(in_chans=1, num_classes=7), (2, 96, 64)),
    ("mobilenetv3_small_100", dict(in_chans=1, num_classes=7), (2, 96, 64), dict(output_stride=16)),
    ("mobilenetv3_small_100", dict(num_classes=7), (1, 64, 80), dict(output_stride=4)),
    ("mobilenetv4_conv_small", dict(num_classes=0, global_pool=""), (1, 96, 72)),
    ("mobilenetv4_hybrid_medium_075", dict(in_chans=1, num_classes=7), (2, 96, 160)),
    ("mobilenetv4_hybrid_medium_075", dict(num_classes=7), (1, 80, 112), dict(output_stride=8)),
]
STEADY = [
    ("mobilenetv4_hybrid_large", {}, (1, 128, 160)),
]
