# SPDX-License-Identifier: Apache-2.0
"""nfnet: what is recorded of it beside the figures of its names."""
TINY = dict(channels=(32, 64, 96, 128), group_size=8, num_features=192)
GRADIENTS = [
    ("test_nfnet", {}, 32, False),
    ("test_nfnet", dict(skipinit=True, gamma_in_act=True, same_padding=True, attn_layer="eca"), 32, False),
    ("test_nfnet", {}, 96, True),
]
FIRST_VALUES = ["test_nfnet", ("dm_nfnet_f0", dict(TINY, zero_init_fc=True))]
LEVELS = [
    ("nf_regnet_b0", dict(depths=(1, 1, 1, 1)), (1, 64, 96), "max"),
    ("nf_resnet26", dict(channels=(32, 64, 96, 128)), (1, 64, 96), "avg"),
    ("dm_nfnet_f0", dict(TINY, depths=(1, 1, 1, 1), stem_chs=64), (1, 64, 96), "max"),
]
VARIATIONS = [
    ("test_nfnet", dict(in_chans=1, num_classes=7, output_stride=8), (2, 97, 131)),
    ("dm_nfnet_f0", dict(TINY, stem_chs=64, num_classes=7), (2, 97, 131)),
    ("nf_regnet_b1", dict(depths=(1, 1, 2, 1), num_classes=5, output_stride=16), (3, 64, 80)),
    ("nf_resnet26", dict(channels=(32, 64, 96, 128), stem_type="deep_tiered", act_layer="celu", num_classes=5), (1, 80, 64)),
] + [  # names without figures in the catalogue's
    (name, dict(num_classes=7), (1, 64, 96))
    for name in ("dm_nfnet_f4", "dm_nfnet_f5", "dm_nfnet_f6", "nfnet_f4", "nfnet_f5", "nfnet_f6", "nfnet_f7")
]
