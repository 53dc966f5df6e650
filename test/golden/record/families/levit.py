# SPDX-License-Identifier: Apache-2.0
"""levit: what is recorded of it beside the figures of its names."""
SMALL = dict(embed_dim=(32, 48, 64), key_dim=8, num_heads=(2, 3, 4), depth=(1, 1, 1))
GRADIENTS = [
    # scores of other sizes and activations are so large under the recorded weights that softmax picks one key
    ("levit_128s", dict(SMALL, img_size=144, key_dim=16, num_heads=(1, 1, 1), act_layer="tanh"), 144, False),
    # batch statistics of few values amplify: a scale that is exact in f32, as which the engine keeps it
    ("levit_conv_128s", dict(SMALL, img_size=128, key_dim=16), 128, True),
    ("levit_512_s8", dict(SMALL, img_size=64, key_dim=16), 64, True),
]
FIRST_VALUES = [("levit_128s", SMALL), ("levit_conv_512", dict(SMALL, img_size=64))]
LEVELS = [
    ("levit_128s", dict(img_size=(64, 96), **SMALL), (2, 64, 96), "avg"),
    ("levit_conv_128s", dict(img_size=(96, 64), **SMALL), (1, 96, 64), "avg"),
    ("levit_512_s8", dict(img_size=64, **SMALL), (1, 64, 64), "avg"),
]
VARIATIONS = [
    ("levit_128s", dict(SMALL, in_chans=1, num_classes=7, img_size=(96, 128), attn_act_layer="gelu"), (3, 96, 128)),
    ("levit_conv_384_s8", dict(SMALL, img_size=64, num_classes=0, global_pool="", mlp_ratio=3, depth=(1, 2, 1)), (2, 64, 64)),
    ("levit_192", dict(SMALL, img_size=72, num_classes=5, distilled=False, attn_ratio=1.5, stem_type="s8"), (1, 72, 72)),
    ("levit_256d", dict(SMALL, img_size=64, global_pool="", num_classes=0, act_layer="relu"), (1, 64, 64)),
]
