# SPDX-License-Identifier: Apache-2.0
"""rdnet: what is recorded of it beside the figures of its names."""
SMALL = dict(num_init_features=16, growth_rates=(8, 16, 16, 16, 24), num_blocks_list=(2, 1, 2, 1, 2),
             is_downsample_block=(False, True, True, False, True), block_type=("Block", "Block", "BlockESE", "BlockESE", "BlockESE"))
GRADIENTS = [
    ("rdnet_tiny", SMALL, 32, False),
]
FIRST_VALUES = ["rdnet_tiny"]
LEVELS = [
    ("rdnet_tiny", SMALL, (2, 64, 96), "avg"),
    ("rdnet_tiny", dict(SMALL, head_norm_first=True), (1, 64, 64), "max"),
]
VARIATIONS = [
    ("rdnet_tiny", dict(SMALL, in_chans=1, num_classes=7), (3, 97, 131)),
    ("rdnet_tiny", dict(SMALL, stem_type="overlap_tiered", head_norm_first=True, bottleneck_width_ratio=2.5, global_pool="catavgmax"),
     (1, 64, 80)),
]
