# SPDX-License-Identifier: Apache-2.0
"""cait: what is recorded of it beside the figures of its names."""
# A softmax does not see the bias of proj_l: its gradient vanishes, which train mode allows.
GRADIENTS = [
    ("cait_xxs24_224", dict(img_size=32, depth=2, embed_dim=32, num_heads=2), 32, True),
]
FIRST_VALUES = ["cait_xxs24_224"]
LEVELS = [
    ("cait_xxs24_224", dict(img_size=(32, 48), depth=4, embed_dim=48), (1, 32, 48), "avg"),
]
VARIATIONS = [
    ("cait_xxs24_224", dict(in_chans=1, num_classes=7, img_size=(64, 48), depth=3), (3, 64, 48)),
    ("cait_xs24_384", dict(img_size=64, depth=3, global_pool="avg", qkv_bias=False, depth_token_only=3, mlp_ratio=2), (1, 64, 64)),
    ("cait_m36_384", dict(depth=3, img_size=96), (1, 96, 96)),
    ("cait_m48_448", dict(depth=3, img_size=112), (1, 112, 112)),
]
