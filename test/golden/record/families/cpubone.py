# SPDX-License-Identifier: Apache-2.0
"""cpubone: what is recorded of it beside the figures of its names."""
SMALL = dict(width_list=(8, 16, 24, 64, 256), depth_list=(1, 1, 2, 1, 1), head_widths=(48, 64), proj_drop_rate=0.0)
OTHER = dict(SMALL, fused_conv=False, small_kernels=False, attn_upsample="transpose")
GRADIENTS = [
    ("cpubone_nano", SMALL, 64, False),
    ("cpubone_b0_bfrobust", OTHER, 64, False),
    ("cpubone_b1_dwnorm", SMALL, 96, True),
]
FIRST_VALUES = [("cpubone_nano", SMALL), ("cpubone_b0_bfrobust", OTHER)]
LEVELS = [
    ("cpubone_nano", SMALL, (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("cpubone_nano", dict(SMALL, in_chans=1, num_classes=7, attn_mlp_ratio=3), (3, 97, 131)),
    ("cpubone_b0_bfrobust", dict(OTHER, global_pool="", act_layer="relu", expand_groups=1), (1, 100, 68)),
    ("cpubone_b1_dwnorm", dict(SMALL, num_classes=0, fused_conv=False, fused_downsample=False, expand_ratio=3), (2, 80, 64)),
    ("cpubone_b3", dict(SMALL, num_classes=3, downsample_expand_ratios=(2, 3, 4, 5), local_mbconv_norm="all"), (1, 70, 66)),
]
