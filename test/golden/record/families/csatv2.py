# SPDX-License-Identifier: Apache-2.0
"""csatv2: what is recorded of it beside the figures of its names."""
SMALL = dict(dims=(16, 16, 24, 32), depths=(1, 1, 2, 2), transformer_depths=(0, 0, 1, 1))
# A norm of one channel gives its offset alone.
VANISHING = ("attn.attn.norm1.weight", "attn.attn.norm2.weight")
GRADIENTS = [
    ("csatv2", SMALL, 128, False, VANISHING),
]
FIRST_VALUES = [("csatv2", SMALL)]
LEVELS = [
    # in bf16 most smaller members round more (by up to 0.14 in PyTorch, too) than the tests of passes look for
    ("csatv2", dict(SMALL, dims=(48, 64, 96, 128), depths=(1, 1, 1, 2), transformer_depths=(0, 0, 0, 1)), (2, 128, 192), "avg"),
]
VARIATIONS = [
    ("csatv2", dict(SMALL, num_classes=7, ls_init_value=0.5), (3, 128, 192)),
    ("csatv2_21m", dict(SMALL, dims=(8, 16, 24, 32), num_classes=0, global_pool=""), (1, 192, 64)),
]
