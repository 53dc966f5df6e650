# SPDX-License-Identifier: Apache-2.0
"""steady.py — records other figures for the models whose recorded ones change with the processor.

Under the recorded fill, which doubles the variance of convolutions' weights, EfficientNet-L2's activations reach 1e12, and there rounding
opens or closes gates of squeeze-excite: timm itself gives other figures on another processor. Without the gain f32 and f64 agree. Writes
test/golden/steady.json, figures from f64, which build/golden takes for these names. Needs torch, timm and 12 GB of memory.
"""
import argparse
import json
import pathlib

from variations import entry

CASES = [("efficientnet_l2", {}, (1, 128, 160)), ("tf_efficientnet_l2", {}, (1, 128, 160))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parents[1])
    out = parser.parse_args().out / "steady.json"
    out.write_text("[\n" + ",\n".join(json.dumps(entry(*c), separators=(",", ":")) for c in CASES) + "\n]\n")


if __name__ == "__main__":
    main()
