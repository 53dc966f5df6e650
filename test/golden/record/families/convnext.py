# SPDX-License-Identifier: Apache-2.0
"""convnext: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("test_convnext", {}, 32, False),
]
FIRST_VALUES = ["test_convnext"]
LEVELS = [
    ("test_convnext", {}, (2, 64, 96), "avg"),
    ("convnext_tiny_hnf", dict(depths=(1, 1, 1, 1), dims=(16, 24, 32, 40)), (1, 64, 96), "max"),
    ("convnext_tiny", dict(depths=(1, 1, 1, 1), dims=(16, 24, 32, 40), head_hidden_size=24), (1, 64, 64), "avg"),
]
VARIATIONS = [
    ("convnext_zepto_rms_ols", dict(in_chans=1, num_classes=7, output_stride=16), (2, 96, 64)),
    ("convnext_tiny_hnf", dict(in_chans=2, num_classes=7, global_pool="catavgmax"), (1, 64, 96)),
    ("convnextv2_atto", dict(num_classes=0, output_stride=8, global_pool=""), (1, 80, 72)),
    ("test_convnext", dict(in_chans=4, num_classes=7, output_stride=8, global_pool="max"), (2, 64, 80)),
    ("test_convnext3", dict(num_classes=7, global_pool="", head_hidden_size=40), (2, 72, 56)),
]
