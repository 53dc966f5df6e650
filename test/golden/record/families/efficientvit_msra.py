# SPDX-License-Identifier: Apache-2.0
"""efficientvit_msra: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=(32, 48, 64), key_dim=(8, 8, 8), num_heads=(2, 3, 4), depth=(1, 1, 1))
GRADIENTS = [
    ("efficientvit_m0", dict(SMALL, img_size=96), 96, False),
    # batch statistics of few values amplify: a scale that is exact in f32, as which the engine keeps it
    ("efficientvit_m1", dict(SMALL, img_size=128, key_dim=(16, 16, 16)), 128, True),
]
FIRST_VALUES = [("efficientvit_m1", SMALL)]
LEVELS = [
    ("efficientvit_m0", dict(SMALL, img_size=(64, 96)), (2, 64, 96), "avg"),
]
VARIATIONS = [
    ("efficientvit_m1", dict(SMALL, in_chans=1, num_classes=7, img_size=(160, 224), window_size=(4, 5, 2)), (3, 160, 224)),
    ("efficientvit_m0", dict(SMALL, num_classes=5, global_pool="catavgmax", kernels=(3, 7, 5, 3), depth=(2, 1, 2)), (2, 97, 131)),
    ("efficientvit_m3", dict(SMALL, num_classes=0, global_pool="", img_size=96), (1, 96, 96)),
]
