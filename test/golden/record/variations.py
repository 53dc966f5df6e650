# SPDX-License-Identifier: Apache-2.0
"""variations.py — records what timm answers when models are built with other than default arguments.

Writes test/golden/variations/<module>.json in the format of the recorded modules: arguments in "kwargs", weights and image filled by the
formula of test/support/fill.h, figures from f64. A case is an architecture, its arguments, and the image's batch, height and width.
Arguments that timm takes for features_only models alone may follow; such an entry has the maps of that model instead of other outputs.
What the variance of convolutions' weights is scaled by comes last: many branches that are added up need less.
"fo_info" is left out where a module's table of its levels knows the usual widths or strides only.
Needs torch and timm.
"""
import json

import timm
import torch

from formula import fill, fnv1a, image, spread
from recorder import create, record

torch.set_num_threads(1)


def figure(t, k):
    v = t.double().flatten()
    n = v.numel()
    short = lambda x: float(f"{float(x):.8g}")
    return {"shape": list(t.shape), "mean": short(v.mean()), "std": short(v.std(unbiased=False)), "absmax": short(v.abs().max()),
            "v": [short(v[i]) for i in spread(n, k)]}


def maps(backbone, x):
    return {"features_only": [figure(t, 8) for t in backbone(x)]}


def in_one(features):
    """Features of several branches as one row of values an image."""
    return torch.cat([f.flatten(1) for f in features], 1) if isinstance(features, (list, tuple)) else features


def outputs(model, x):
    """What an encoder alone answers has no logits."""
    features = model.forward_features(x)
    try:
        heads = {"logits": figure(model.forward_head(features), 32), "pre_logits": figure(model.forward_head(features, pre_logits=True), 16)}
    except NotImplementedError:
        heads = {}
    return {**heads, "features": figure(in_one(features), 16),
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


def entry(name, kwargs, size, for_features=None, gain=1):
    model = create(name, **kwargs).eval()
    fill(model, gain)
    trained = {n for n, _ in model.named_parameters()}
    lines = [f"{n}\t{','.join(map(str, t.shape))}\t{str(t.dtype).removeprefix('torch.')}\t{'p' if n in trained else 'b'}\n"
             for n, t in model.state_dict().items()]
    b, h, w = size
    x = image(b, kwargs.get("in_chans", 3), h, w)
    backbone = create(name, features_only=True, **{k: v for k, v in kwargs.items() if k not in ("num_classes", "global_pool")},
                                 **(for_features or {})).eval()
    answer, of = (maps, backbone) if for_features else (outputs, model)
    if for_features:
        fill(backbone, gain)
    levels = backbone.feature_info.get_dicts()
    with torch.no_grad():
        known = all(i["num_chs"] in (t.shape[1], t.shape[-1]) and
                    (t.dim() < 4 or i["reduction"] in (round(h / t.shape[1]), round(h / t.shape[2])))
                    for i, t in zip(levels, backbone(x)))
        single = answer(of, x)
        exact = answer(of.double(), x.double())
    info = [{"ch": i["num_chs"], "red": i["reduction"], "mod": i["module"]} for i in levels]
    return {"name": name, "kwargs": {**kwargs, **(for_features or {})}, **({"fill_gain": gain} if gain != 1 else {}), "params": sum(p.numel() for p in model.parameters()), "state_entries": len(lines),
            "state_fnv1a": f"{fnv1a(''.join(lines).encode()):016x}", "input": list(x.shape[1:]), "batch": b,
            "num_classes": model.num_classes, "num_features": model.num_features, "head_hidden_size": model.head_hidden_size,
            **({"fo_info": info} if known else {}), **exact, "tol": tolerance(exact, single)}


if __name__ == "__main__":
    record("variations", lambda *case: json.dumps(entry(*case), separators=(",", ":")))
