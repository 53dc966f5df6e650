# SPDX-License-Identifier: Apache-2.0
"""efficientformer: what is recorded of it beside the figures of its names. Its attention is for maps of 7 x 7."""
SMALL = dict(depths=(1, 1, 1, 2), embed_dims=(16, 24, 32, 48))
GRADIENTS = [
    ("efficientformer_l1", SMALL, 200, False),
    ("efficientformer_l1", SMALL, 224, True),
]
FIRST_VALUES = [("efficientformer_l1", SMALL)]
LEVELS = [
    ("efficientformer_l1", SMALL, (1, 224, 212), ""),  # of what is pruned timm makes no classes
]
VARIATIONS = [
    ("efficientformer_l3", dict(SMALL, in_chans=1, num_classes=7, num_vit=2, pool_size=5, mlp_ratios=3), (2, 212, 224)),
    ("efficientformer_l1", dict(SMALL, num_classes=0, global_pool=""), (3, 224, 224)),
]
