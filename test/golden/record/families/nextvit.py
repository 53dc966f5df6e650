# SPDX-License-Identifier: Apache-2.0
"""nextvit: what is recorded of it beside the figures of its names."""
SMALL = dict(stem_chs=(16, 8, 16), depths=(1, 1, 5, 1))
GRADIENTS = [
    ("nextvit_small", dict(SMALL, act_layer="tanh"), 64, False, ("e_mhsa.k.bias",)),
    ("nextvit_base", dict(SMALL, drop_path_rate=0), 96, True),
]
FIRST_VALUES = [("nextvit_small", SMALL)]
LEVELS = [
    ("nextvit_small", SMALL, (1, 64, 96), "avg"),
]
VARIATIONS = [
    ("nextvit_small", dict(SMALL, in_chans=1, num_classes=7), (2, 97, 131)),
    ("nextvit_base", dict(SMALL, num_classes=0, global_pool="avgmax", head_dim=16, mix_block_ratio=0.5), (3, 64, 96)),
    ("nextvit_large", dict(SMALL, num_classes=5, sr_ratios=(1, 1, 4, 1), act_layer="gelu"), (1, 128, 64)),
]
