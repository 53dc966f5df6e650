# SPDX-License-Identifier: Apache-2.0
"""convit: what is recorded of it beside the figures of its names."""
# A softmax does not see the bias of pos_proj: its gradient vanishes, which train mode allows.
GRADIENTS = [
    ("convit_tiny", dict(img_size=48, depth=2, embed_dim=8, local_up_to_layer=1), 48, True),
]
FIRST_VALUES = ["convit_tiny"]
LEVELS = [
    ("convit_tiny", dict(img_size=48, depth=4, embed_dim=16, local_up_to_layer=0), (1, 48, 48), "avg"),
]
VARIATIONS = [
    ("convit_tiny", dict(in_chans=1, num_classes=7, img_size=64, depth=3, local_up_to_layer=2), (3, 64, 64)),
    ("convit_tiny", dict(img_size=48, depth=4, local_up_to_layer=1, global_pool="avg", qkv_bias=True, use_pos_embed=False), (1, 48, 48)),
]
