# SPDX-License-Identifier: Apache-2.0
"""csatv2: what is recorded of it beside the figures of its names."""
SMALL = dict(dims=(16, 24, 32, 40), depths=(1, 1, 2, 2), transformer_depths=(0, 0, 1, 1))
# One image each: timm's attention mixes the images of a batch, which is so here in training alone. Norms of one channel have weights
# that nothing depends on, which train mode allows.
GRADIENTS = [
    ("csatv2", SMALL, 128, True),
]
FIRST_VALUES = [("csatv2", dict(SMALL, dims=(32, 40, 48, 64)))]
LEVELS = [
    ("csatv2", SMALL, (1, 128, 192), "avg"),
]
VARIATIONS = [
    ("csatv2", dict(SMALL, num_classes=7, ls_init_value=0.5), (1, 128, 192)),
    ("csatv2_21m", dict(SMALL, num_classes=0, global_pool="max"), (1, 192, 128)),
]
