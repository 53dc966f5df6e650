# SPDX-License-Identifier: Apache-2.0
"""variations.py — records what timm answers when models are built with other than default arguments.

Writes test/golden/models/variations.json in the format of the recorded modules: arguments in "kwargs", weights and image filled by the
formula of test/support/fill.h, figures from f64. A case is an architecture, its arguments, and the image's batch, height and width.
Arguments that timm takes for features_only models alone come last; such an entry has the maps of that model instead of other outputs.
Needs torch and timm.
"""
import argparse
import json
import pathlib

import timm
import torch

from formula import fill, fnv1a, image, spread

torch.set_num_threads(1)
CASES = [
    ("convnext_zepto_rms_ols", dict(in_chans=1, num_classes=7, output_stride=16), (2, 96, 64)),
    ("convnext_tiny_hnf", dict(in_chans=2, num_classes=7, global_pool="catavgmax"), (1, 64, 96)),
    ("convnextv2_atto", dict(num_classes=0, output_stride=8, global_pool=""), (1, 80, 72)),
    ("test_convnext", dict(in_chans=4, num_classes=7, output_stride=8, global_pool="max"), (2, 64, 80)),
    ("test_convnext3", dict(num_classes=7, global_pool="", head_hidden_size=40), (2, 72, 56)),
    ("deit_tiny_distilled_patch16_224", dict(in_chans=4, num_classes=7, img_size=64), (2, 64, 64)),
    ("densenet121", dict(in_chans=1, num_classes=7), (2, 96, 64)),
    ("lcnet_035", dict(global_pool="catavgmax"), (1, 80, 72)),
    ("mobilenetv3_large_075", dict(in_chans=4, num_classes=7), (1, 64, 80), dict(output_stride=8)),
    ("mobilenetv3_small_100", dict(in_chans=1, num_classes=7), (2, 96, 64)),
    ("mobilenetv3_small_100", dict(in_chans=1, num_classes=7), (2, 96, 64), dict(output_stride=16)),
    ("mobilenetv4_conv_small", dict(num_classes=0, global_pool=""), (1, 96, 72)),
    ("mobilenetv4_hybrid_medium_075", dict(in_chans=1, num_classes=7), (2, 96, 160)),
    ("mobilenetv4_hybrid_medium_075", dict(num_classes=7), (1, 80, 112), dict(output_stride=8)),
    ("regnetx_002", dict(in_chans=1, num_classes=7, output_stride=16), (2, 96, 64)),
    ("regnety_002", dict(in_chans=4, num_classes=7, output_stride=8, global_pool="catavgmax"), (1, 64, 80)),
    ("swin_s3_tiny_224", dict(in_chans=4, img_size=(160, 96), window_size=(4, 6), embed_dim=32, num_heads=(2, 4, 8, 16),
                              depths=(2, 2, 4, 2), global_pool="max"), (1, 160, 96)),
    ("swin_tiny_patch4_window7_224", dict(in_chans=1, num_classes=7, img_size=(96, 128)), (2, 96, 128)),
    ("swin_tiny_patch4_window7_224", dict(img_size=64, window_size=(4, 4, 8, 4), always_partition=True, num_classes=0,
                                          global_pool="", head_dim=16), (1, 64, 64)),
    ("swin_tiny_patch4_window7_224", dict(img_size=(96, 64), strict_img_size=False, patch_size=2, embed_dim=48, mlp_ratio=2.5,
                                          qkv_bias=False, window_size=((6, 4), (4, 8), (8, 8), (3, 2))), (2, 74, 102)),
    ("test_resnet", dict(in_chans=1, num_classes=7, output_stride=16), (2, 96, 64)),
    ("test_resnet", dict(num_classes=0, output_stride=8, global_pool="max"), (1, 80, 72)),
    ("test_vit", dict(in_chans=1, num_classes=7, img_size=(96, 128)), (2, 96, 128)),
    ("test_vit", dict(global_pool="avgmax"), (1, 192, 112)),
    ("test_vit2", dict(dynamic_img_pad=True, num_classes=0), (1, 150, 170)),
    ("test_vit3", dict(global_pool="", img_size=(64, 48)), (2, 64, 48)),
    ("test_vit4", dict(qk_norm=True, reg_tokens=3, no_embed_class=True, dynamic_img_size=False), (1, 160, 160)),
    ("tf_efficientnet_l2", dict(num_classes=7), (1, 64, 96)),
]


def figure(t, k):
    v = t.double().flatten()
    n = v.numel()
    short = lambda x: float(f"{float(x):.8g}")
    return {"shape": list(t.shape), "mean": short(v.mean()), "std": short(v.std(unbiased=False)), "absmax": short(v.abs().max()),
            "v": [short(v[i]) for i in spread(n, k)]}


def maps(backbone, x):
    return {"features_only": [figure(t, 8) for t in backbone(x)]}


def outputs(model, x):
    features = model.forward_features(x)
    return {"logits": figure(model.forward_head(features), 32), "features": figure(features, 16),
            "pre_logits": figure(model.forward_head(features, pre_logits=True), 16),
            "intermediates": [figure(t, 8) for t in model.forward_intermediates(x, intermediates_only=True)]}


def numbers(value):
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    return [n for v in value for n in numbers(v)] if isinstance(value, list) else [value]


def tolerance(exact, single):
    """Ten times what timm's own f32 differs from f64, of the largest value; at least 5e-5."""
    worst = 0
    for key in exact:
        pairs = zip(exact[key], single[key]) if isinstance(exact[key], list) else [(exact[key], single[key])]
        for a, b in pairs:
            worst = max([worst] + [abs(p - q) / a["absmax"] for p, q in zip(numbers(a), numbers(b))])
    return float(f"{max(5e-5, 10 * worst):.2g}")


def entry(name, kwargs, size, for_features=None):
    model = timm.create_model(name, **kwargs).eval()
    fill(model)
    trained = {n for n, _ in model.named_parameters()}
    lines = [f"{n}\t{','.join(map(str, t.shape))}\t{str(t.dtype).removeprefix('torch.')}\t{'p' if n in trained else 'b'}\n"
             for n, t in model.state_dict().items()]
    b, h, w = size
    x = image(b, kwargs.get("in_chans", 3), h, w)
    backbone = timm.create_model(name, features_only=True, **{k: v for k, v in kwargs.items() if k not in ("num_classes", "global_pool")},
                                 **(for_features or {})).eval()
    answer, of = (maps, backbone) if for_features else (outputs, model)
    if for_features:
        fill(backbone)
    with torch.no_grad():
        single = answer(of, x)
        exact = answer(of.double(), x.double())
    info = [{"ch": i["num_chs"], "red": i["reduction"], "mod": i["module"]} for i in backbone.feature_info.get_dicts()]
    return {"name": name, "kwargs": {**kwargs, **(for_features or {})}, "params": sum(p.numel() for p in model.parameters()), "state_entries": len(lines),
            "state_fnv1a": f"{fnv1a(''.join(lines).encode()):016x}", "input": list(x.shape[1:]), "batch": b,
            "num_classes": model.num_classes, "num_features": model.num_features, "head_hidden_size": model.head_hidden_size,
            "fo_info": info, **exact, "tol": tolerance(exact, single)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parents[1])
    out = parser.parse_args().out / "models" / "variations.json"
    out.write_text("[\n" + ",\n".join(json.dumps(entry(*c), separators=(",", ":")) for c in CASES) + "\n]\n")


if __name__ == "__main__":
    main()
