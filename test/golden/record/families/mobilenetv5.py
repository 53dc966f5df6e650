# SPDX-License-Identifier: Apache-2.0
"""mobilenetv5: what is recorded of it beside the figures of its names."""
SMALL = dict(channel_multiplier=0.125, fix_stem=True, num_features=64, stem_size=16, msfa_output_resolution=4)
GRADIENTS = [
    ("mobilenetv5_base", SMALL, 64, False),
    ("mobilenetv5_base", dict(SMALL, layer_scale_init_value=0.5, use_msfa=False), 64, True),
]
FIRST_VALUES = [("mobilenetv5_base", SMALL)]
LEVELS = [
    ("mobilenetv5_base", SMALL, (1, 64, 128), "avg"),
]
VARIATIONS = [
    ("mobilenetv5_base", dict(SMALL, in_chans=1, num_classes=7, msfa_indices=(-3, -1)), (2, 97, 131)),
    ("mobilenetv5_300m", dict(SMALL, num_classes=5, use_msfa=False, global_pool="catavgmax", pad_type="same"), (1, 64, 80)),
    ("mobilenetv5_300m", dict(SMALL, num_classes=0, global_pool="", stem_bias=False, msfa_output_resolution=3), (3, 64, 64)),
]
