# SPDX-License-Identifier: Apache-2.0
"""vision_transformer_relpos: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("test_vit_relpos", dict(img_size=48, depth=2, rel_pos_type="mlp_swin"), 48, False),
    ("vit_relpos_medium_patch16_cls_224", dict(img_size=48, depth=1, embed_dim=32, num_heads=2, rel_pos_type="bias"), 48, False),
]
FIRST_VALUES = ["test_vit_relpos"]
LEVELS = [
    ("test_vit_relpos", dict(img_size=(32, 48), depth=4), (1, 32, 48), "avg"),
    ("vit_relpos_medium_patch16_cls_224", dict(img_size=(32, 48), depth=4, embed_dim=48, num_heads=2), (1, 32, 48), "token"),
]
VARIATIONS = [
    ("test_vit_relpos", dict(in_chans=1, num_classes=7, img_size=(96, 64), rel_pos_type="bias"), (3, 96, 64)),
    ("vit_relpos_medium_patch16_cls_224", dict(img_size=(64, 96), depth=3, rel_pos_type="bias", qk_norm=True), (1, 64, 96)),
    ("vit_srelpos_small_patch16_224", dict(img_size=64, depth=3, global_pool=""), (1, 64, 64)),
    ("vit_relpos_base_patch16_clsgap_224", dict(img_size=64, depth=3), (2, 64, 64)),
]
