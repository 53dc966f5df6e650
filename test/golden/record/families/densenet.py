# SPDX-License-Identifier: Apache-2.0
"""densenet: what is recorded of it beside the figures of its names."""
GRADIENTS = [
    ("densenet121", {}, 32, False),
    ("densenet121", {}, 64, True),
]
FIRST_VALUES = ["densenet121"]
LEVELS = [
    ("densenet121", {}, (1, 64, 96), "avg"),
]
VARIATIONS = [
    ("densenet121", dict(in_chans=1, num_classes=7), (2, 96, 64)),
]
