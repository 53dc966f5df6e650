# SPDX-License-Identifier: Apache-2.0
"""efficientformer_v2: what is recorded of it beside the figures of its names."""
SMALL = dict(depths=(1, 1, 2, 2), embed_dims=(16, 24, 32, 48), mlp_ratios=(4, 4, (4, 3), (3, 4)), num_vit=1)
GRADIENTS = [  # in train mode alone: softmax takes back what offsets of keys add, so their gradients vanish
    ("efficientformerv2_s0", dict(SMALL, img_size=128), 128, True),
    ("efficientformerv2_s0", dict(SMALL, img_size=96), 96, True),
]
FIRST_VALUES = [("efficientformerv2_s0", SMALL)]
LEVELS = [
    ("efficientformerv2_s0", dict(SMALL, img_size=(64, 96)), (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("efficientformerv2_s1", dict(SMALL, in_chans=1, num_classes=7, img_size=(96, 64), act_layer="relu", mlp_ratios=3), (3, 96, 64)),
    ("efficientformerv2_s2", dict(SMALL, num_classes=5, img_size=64, distillation=False, norm_eps=0.001, num_vit=2), (1, 64, 64)),
    ("efficientformerv2_s0", dict(SMALL, num_classes=0, img_size=128, global_pool="", mlp_ratios=(2, 3, 2, 4)), (1, 128, 128)),
]
