# SPDX-License-Identifier: Apache-2.0
"""efficientvim: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=(16, 24, 32), depths=(1, 1, 2), state_dim=(5, 4, 3))
# A softmax over pixels does not see what is the same for all of them.
GRADIENTS = [
    ("efficientvim_m1", SMALL, 128, False, ("mixer.A",)),
    ("efficientvim_m1_dist", SMALL, 192, True),
]
FIRST_VALUES = [("efficientvim_m1", SMALL), ("efficientvim_m1_dist", SMALL)]
LEVELS = [
    # timm keeps no head of what is pruned. Most small members round more in bf16 (by up to 6e-2 in PyTorch, too) than
    # the tests of passes look for.
    ("efficientvim_m1", dict(embed_dim=(48, 48, 48), depths=(1, 1, 1), state_dim=(9, 6, 4), mlp_ratio=1), (2, 128, 128), ""),
]
VARIATIONS = [
    ("efficientvim_m1", dict(SMALL, in_chans=1, num_classes=7, mlp_ratio=2.5), (3, 128, 192)),
    ("efficientvim_m4_dist", dict(SMALL, ssd_expand=1.5), (2, 97, 131)),
    ("efficientvim_m1_dist", dict(SMALL, num_classes=0), (1, 128, 128)),
]
