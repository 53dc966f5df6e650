# SPDX-License-Identifier: Apache-2.0
"""steady.py — records other figures for the models whose recorded ones change with the processor.

Under the recorded fill, which doubles the variance of convolutions' weights, activations of the deepest networks grow
until rounding decides: EfficientNet-L2's reach 1e12, where it opens or closes gates of squeeze-excite,
MobileNetV4-Hybrid-L's 4e13, where softmax picks one key, and RegNetY-128GF's f32 answers are 0.027 of the largest value
from timm's own f64. timm itself gives other figures on another processor. Without the gain f32 and f64 agree. Writes
test/golden/steady.json, figures from f64, which build/golden takes for these names. Needs torch, timm and 14 GB of
memory.
"""
import argparse
import json
import pathlib

from variations import entry

CASES = [(name, {}, (1, 128, 160))
         for name in ("mobilenetv4_hybrid_large", "regnety_1280", "efficientnet_l2", "tf_efficientnet_l2")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parents[1])
    out = parser.parse_args().out / "steady.json"
    out.write_text("[\n" + ",\n".join(json.dumps(entry(*c), separators=(",", ":")) for c in CASES) + "\n]\n")


if __name__ == "__main__":
    main()
