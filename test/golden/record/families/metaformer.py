# SPDX-License-Identifier: Apache-2.0
"""metaformer: what is recorded of it beside the figures of its names."""
SMALL = dict(depths=(1, 1, 1, 1), dims=(16, 32, 64, 96))
GRADIENTS = [
    ("caformer_s18", SMALL, 64, False),
    ("poolformer_s12", SMALL, 64, True),
    ("poolformerv2_s12", SMALL, 64, False),
]
FIRST_VALUES = ["poolformer_s12", ("caformer_s18", SMALL)]
LEVELS = [
    ("caformer_s18", SMALL, (2, 64, 96), "avg"),
    ("poolformer_s12", SMALL, (1, 64, 96), "avg"),
]
VARIATIONS = [
    ("poolformer_s12", dict(in_chans=1, num_classes=7, dims=(16, 32, 64, 96)), (3, 97, 131)),
    ("convformer_s18", dict(depths=(1, 2, 1, 1), dims=(16, 24, 32, 40), global_pool="max"), (1, 64, 80)),
    ("caformer_s18", dict(SMALL, num_classes=0, mlp_bias=True), (2, 80, 72)),
    ("poolformerv2_s12", dict(SMALL, use_mlp_head=True, layer_scale_init_values=0.1, num_classes=7), (2, 64, 64)),
]
