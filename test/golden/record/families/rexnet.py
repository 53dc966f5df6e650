# SPDX-License-Identifier: Apache-2.0
"""rexnet: what is recorded of it beside the figures of its names."""
SMALL = dict(depth_mult=0.4, width_mult=0.5, final_chs=90, drop_rate=0.0)
GRADIENTS = [
    ("rexnet_100", SMALL, 32, False),
    ("rexnet_100", SMALL, 96, True),
]
FIRST_VALUES = [("rexnet_100", dict(depth_mult=0.4))]
LEVELS = [
    ("rexnet_100", SMALL, (1, 64, 96), "max"),
]
VARIATIONS = [
    ("rexnet_130", dict(depth_mult=0.5, in_chans=1, num_classes=7, output_stride=8), (2, 97, 131)),
    ("rexnetr_100", dict(depth_mult=0.4, num_classes=5, output_stride=16, dw_act_layer="silu"), (3, 64, 80)),
    ("rexnet_100", dict(depth_mult=0.4, se_ratio=0, global_pool="catavgmax"), (1, 80, 64)),
]
