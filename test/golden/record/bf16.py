# SPDX-License-Identifier: Apache-2.0
"""bf16.py — records how far timm's own bf16 answers are from its f64 ones, a small and a middle-sized model of each module.

Weights and image are those of the model's entry in test/golden/models. What is recorded is the largest |bf16 - f64| / absmax over all
elements, where bf16 is a run under torch.autocast on the CPU; and `tol`, what an implementation in bf16 may be off by. Writes
test/golden/bf16.json, which `build/golden --dtype bf16` takes its tolerances from. Needs torch and timm.
"""
import argparse
import json
import pathlib

import timm
import torch

from formula import fill, image, spread

torch.set_num_threads(1)
GOLDEN = pathlib.Path(__file__).parents[1]
# mobilenetv3_large_100 under the recorded fill says little: rounding grows so much in it that autocast is off by 0.2.
NAMES = {
    "convnext": ("test_convnext", "convnext_tiny"),
    "deit": ("deit_tiny_patch16_224", "deit_small_patch16_224"),
    "densenet": ("densenet121", "densenet169"),
    "efficientnet": ("test_efficientnet", "efficientnet_b0"),
    "mobilenetv3": ("mobilenetv3_small_050", "mobilenetv3_large_150d"),
    "regnet": ("regnety_002", "regnety_016"),
    "resnet": ("test_resnet", "resnet50"),
    "swin_transformer": ("swin_tiny_patch4_window7_224", "swin_small_patch4_window7_224"),
    "vision_transformer": ("test_vit", "vit_small_patch16_224"),
}


def outputs(model, x):
    features = model.forward_features(x)
    return {"logits": [model.forward_head(features)], "features": [features],
            "pre_logits": [model.forward_head(features, pre_logits=True)],
            "intermediates": model.forward_intermediates(x, intermediates_only=True)}


def check_logits(entry, logits):
    """The entry was recorded under the same weights and image, or its deviations would say nothing."""
    values = logits.flatten()
    for i, recorded in zip(spread(values.numel(), 32), entry["logits"]["v"], strict=True):
        off = abs(values[i].item() - recorded) / entry["logits"]["absmax"]
        assert off <= entry["tol"], f"{entry['name']}: logit {i} is off by {off}"


def deviation(exact, rounded):
    return max(((a - b.double()).abs().max() / a.abs().max()).item() for a, b in zip(exact, rounded, strict=True))


def record(entry):
    model = timm.create_model(entry["name"]).eval()
    fill(model, entry.get("fill_gain", 1))
    x = image(entry["batch"], *entry["input"])
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            rounded = outputs(model, x)
        exact = outputs(model.double(), x.double())
    check_logits(entry, exact["logits"][0])
    off = {key: deviation(exact[key], rounded[key]) for key in exact}
    short = lambda v: float(f"{v:.3g}")
    return {"name": entry["name"], **{k: short(v) for k, v in off.items()}, "tol": short(max(2e-2, 3 * max(off.values())))}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=GOLDEN)
    rows = []
    for module, names in NAMES.items():
        entries = {e["name"]: e for e in json.loads((GOLDEN / "models" / f"{module}.json").read_text())}
        rows += [record(entries[n]) for n in names]
        print(*map(json.dumps, rows[-2:]), sep="\n")
    (parser.parse_args().out / "bf16.json").write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


if __name__ == "__main__":
    main()
