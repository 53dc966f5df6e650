# SPDX-License-Identifier: Apache-2.0
"""maxxvit: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=(32, 64, 96, 128), depths=(1, 1, 1, 1), stem_width=(16, 32))
NEXT = dict(SMALL, embed_dim=(32, 64, 128, 128))
GRADIENTS = [
    ("test_coatnet", dict(img_size=64), 64, False),
    ("maxvit_tiny_tf_224", dict(SMALL, img_size=64, head_hidden_size=48), 64, True),
    ("coatnext_nano_rw_224", dict(SMALL, img_size=64, transformer_init_values=0.1), 64, False),
]
FIRST_VALUES = [
    "test_coatnet",
    ("maxxvit_rmlp_tiny_rw_256", dict(NEXT, weight_init="xavier_normal")),
    ("coatnext_nano_rw_224", dict(SMALL, weight_init="trunc_normal")),
    ("maxvit_tiny_tf_224", dict(SMALL, block_type=("C", "M", "PM", "T"), weight_init="")),
]
LEVELS = [
    ("test_maxvit", dict(img_size=(64, 96)), (2, 64, 96), "avg"),
    ("maxvit_tiny_tf_224", dict(SMALL, img_size=64, head_hidden_size=48), (1, 64, 64), "max"),
]
VARIATIONS = [
    ("test_coatnet", dict(in_chans=1, num_classes=7, img_size=(96, 64)), (3, 96, 64)),
    ("test_maxvit", dict(img_size=(96, 64), transformer_use_nchw_attn=True, transformer_window_size=(3, 2), transformer_grid_size=(3, 1),
                         transformer_rel_pos_type="none", conv_stride_mode="1x1", conv_attn_layer="eca", global_pool="max"), (1, 96, 64)),
    ("maxvit_tiny_pm_256", dict(NEXT, img_size=64, num_classes=0, conv_block_type="convnext", conv_stride_mode="pool",
                                conv_downsample_pool_type="max2"), (2, 64, 64)),
    ("maxvit_tiny_tf_224", dict(SMALL, img_size=(192, 128), num_classes=7, head_hidden_size=48, conv_pool_type="avg", conv_group_size=8,
                                conv_kernel_size=5, transformer_partition_ratio=64, transformer_norm_layer_cl="rmsnorm"), (1, 192, 128)),
    ("coatnet_rmlp_1_rw_224", dict(SMALL, depths=(1, 1, 2, 1), block_type=("C", "M", ("T", "C"), "T"), img_size=(64, 96),
                                   transformer_init_values=0.1, transformer_norm_layer="groupnorm1", conv_norm_layer="layernorm2d",
                                   transformer_expand_first=True, transformer_attn_bias=False, conv_attn_layer="cbam",
                                   global_pool="catavgmax"), (2, 64, 96)),
]
