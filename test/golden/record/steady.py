# SPDX-License-Identifier: Apache-2.0
"""steady.py — records other figures for the models whose recorded ones change with the processor.

Under the recorded fill, which doubles the variance of convolutions' weights, activations of the deepest networks grow
until rounding decides: EfficientNet-L2's reach 1e12, where it opens or closes gates of squeeze-excite,
MobileNetV4-Hybrid-L's 4e13, where softmax picks one key, and RegNetY-128GF's f32 answers are 0.027 of the largest value
from timm's own f64. timm itself gives other figures on another processor. Without the gain f32 and f64 agree. Writes
test/golden/steady/<module>.json, figures from f64, which build/golden takes for these names. Needs torch, timm and 14 GB of
memory.
"""
import json

from recorder import record
from variations import entry

if __name__ == "__main__":
    record("steady", lambda *case: json.dumps(entry(*case), separators=(",", ":")))
