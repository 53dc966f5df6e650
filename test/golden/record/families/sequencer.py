# SPDX-License-Identifier: Apache-2.0
"""sequencer: what is recorded of it beside the figures of its names."""
SMALL = dict(layers=(1, 2, 1, 1), embed_dims=(16, 24, 24, 24), hidden_sizes=(5, 8, 8, 6))
GRADIENTS = [
    ("sequencer2d_s", dict(SMALL, num_rnn_layers=2), 56, False),
    ("sequencer2d_m", dict(SMALL, bidirectional=False, union="add"), 56, False),
]
FIRST_VALUES = [("sequencer2d_s", SMALL), ("sequencer2d_m", dict(SMALL, num_rnn_layers=2, nlhb=True))]
LEVELS = [
    ("sequencer2d_s", SMALL, (2, 56, 84), "avg"),
]
VARIATIONS = [
    ("sequencer2d_s", dict(SMALL, in_chans=1, num_classes=7, stem_norm=True, mlp_ratios=(2, 3, 1, 2)), (3, 97, 131)),
    ("sequencer2d_l", dict(SMALL, num_classes=0, global_pool="", union="vertical", patch_sizes=(5, 2, 2, 1)), (1, 80, 64)),
    ("sequencer2d_m", dict(SMALL, num_classes=3, union="horizontal", bidirectional=False), (2, 56, 70)),
    ("sequencer2d_m", dict(SMALL, embed_dims=(20, 32, 32, 32), hidden_sizes=(5, 8, 8, 8), with_fc=False, global_pool="max"), (1, 56, 56)),
]
