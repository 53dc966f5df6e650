# SPDX-License-Identifier: Apache-2.0
"""mvitv2: what is recorded of it beside the figures of its names."""
SMALL = dict(depths=(1, 2, 2, 1), embed_dim=(16, 32, 48, 64), num_heads=(1, 2, 3, 4))
GRADIENTS = [
    ("mvitv2_tiny", dict(SMALL, img_size=64), 64, False, ["norm_k.bias"]),
    ("mvitv2_small_cls", dict(SMALL, img_size=64, expand_attn=False, global_pool="avg"), 64, False, ["norm_k.bias"]),
]
FIRST_VALUES = [("mvitv2_small_cls", dict(depths=(1, 1, 2, 1), use_abs_pos=True))]
LEVELS = [
    ("mvitv2_tiny", dict(SMALL, img_size=64), (2, 64, 64), "avg"),
    ("mvitv2_small_cls", dict(SMALL, img_size=64), (1, 64, 64), "token"),
]
VARIATIONS = [
    ("mvitv2_tiny", dict(SMALL, in_chans=1, num_classes=7, img_size=(96, 64), rel_pos_type="none", use_abs_pos=True, mode="avg",
                         qkv_bias=False), (3, 96, 64)),
    ("mvitv2_small_cls", dict(SMALL, img_size=96, mode="max", use_abs_pos=True, residual_pooling=False, mlp_ratio=3.0, global_pool="avg"),
     (1, 96, 96)),
    ("mvitv2_large", dict(SMALL, img_size=80, num_classes=0, global_pool="", stride_kv=((2, 2), (2, 2), (1, 1), (1, 1)),
                          norm_eps=1e-5), (2, 80, 80)),
]
