# SPDX-License-Identifier: Apache-2.0
"""byoanet: what is recorded of it beside the figures of its names."""
NARROW = dict(width_factor=0.25)
GRADIENTS = [
    ("botnet26t_256", dict(width_factor=0.125, img_size=64), 64, False),
    ("halonet_h1", dict(NARROW, output_stride=8), 64, False),
    ("lambda_resnet26t", dict(width_factor=0.125), 64, True),
    ("lambda_resnet26rpt_256", dict(width_factor=0.125, img_size=64), 64, False),
]
FIRST_VALUES = [("botnet26t_256", NARROW), ("halonet26t", NARROW), ("lambda_resnet26t", NARROW), ("lambda_resnet26rpt_256", NARROW)]
LEVELS = [
    ("botnet26t_256", dict(NARROW, img_size=(64, 96)), (1, 64, 96), "avg"),
    ("halonet_h1", dict(NARROW, output_stride=8), (1, 64, 128), "avg"),
    ("lambda_resnet26t", NARROW, (2, 64, 96), "max"),
]
VARIATIONS = [
    ("lambda_resnet50ts", dict(NARROW, in_chans=1, num_classes=7), (2, 97, 131)),
    ("lambda_resnet26rpt_256", dict(NARROW, img_size=(64, 96), num_classes=5), (3, 64, 96)),
    ("haloregnetz_b", dict(num_classes=7, output_stride=16), (1, 112, 112)),
    ("lamhalobotnet50ts_256", dict(NARROW, img_size=128, num_classes=0, global_pool=""), (1, 128, 128)),
    ("sehalonet33ts", dict(NARROW, act_layer="relu"), (1, 256, 256)),
    ("botnet50ts_256", dict(NARROW, img_size=64, output_stride=8, num_classes=3), (2, 64, 64)),
    ("eca_botnext26ts_256", dict(NARROW, img_size=64, num_classes=3), (2, 64, 64)),
]
