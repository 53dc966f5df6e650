# SPDX-License-Identifier: Apache-2.0
"""large.py — records what timm answers for architectures that are too large for the fast tests; `./dev golden` compares them.

Writes test/golden/large/<module>.json in the format of variations, a case at a time: what a file already holds is not computed again.
The figures are from f64 where both runs fit into memory, else from f32 with the tolerance that it is given here. `python3 large.py vitamin`.
Needs torch and timm, and up to 16 bytes of memory a parameter.
"""
import gc
import json
import pathlib
import sys

import torch

from formula import fill, fnv1a, image
from recorder import create
from variations import outputs, tolerance

TWICE = 800e6   # parameters of the largest model that runs in f64, too
SINGLE = 5e-4   # tolerance of a model that does not

# A module's architectures with their arguments and the image's height and width.
CASES = {
    "deepseek_vit": [("deepseek_vit_412m", {}, 224), ("deepseek_vit_412m_enc", {}, 224), ("deepseek_vit_412m_align", {}, 224)],
    "vitamin": [("vitamin_xlarge_256", {}, 256), ("vitamin_large_224", {}, 224), ("vitamin_large2_224", {}, 224)],
    "eva": [("eva_giant_patch14_224", {}, 224), ("vit_large_patch16_dinov3", {"img_size": 112}, 112), ("eva02_large_patch14_224", {}, 224),
            ("eva02_large_patch14_clip_224", {}, 224), ("vit_large_patch16_rope_mixed_ape_224", {}, 224),
            ("vit_pe_core_large_patch14_336", {"img_size": 168}, 168), ("vit_pe_lang_large_patch14_448", {"img_size": 168}, 168),
            ("vit_pe_spatial_large_patch14_448", {"img_size": 168}, 168), ("vit_large_patch16_lingbot", {"img_size": 112}, 112),
            ("vit_large_patch16_sapiens2", {"img_size": 128}, 128), ("vit_huge_plus_patch16_dinov3", {"img_size": 112}, 112),
            ("vit_large_patch16_rope_224", {}, 224), ("vit_large_patch16_rope_ape_224", {}, 224),
            ("vit_large_patch16_rope_mixed_224", {}, 224), ("vit_large_patch16_dinov3_qkvb", {"img_size": 112}, 112),
            ("vit_huge_plus_patch16_dinov3_qkvb", {"img_size": 112}, 112), ("vit_huge_patch16_sapiens2", {"img_size": 128}, 128),
            ("eva_giant_patch14_clip_224", {}, 224), ("vit_giant_patch16_lingbot", {"img_size": 112}, 112)],
    "beit": [("beit_large_patch16_224", {}, 224), ("beitv2_large_patch16_224", {}, 224)],
    "qwen3_vit": [(f"qwen3_vit_{size}{kind}", {"img_size": 128}, 128) for size in ("306m", "416m") for kind in ("", "_enc", "_merge")],
    "gemma4_vit": [("gemma4_vit_167m_enc", {"img_size": 144}, 144), ("gemma4_vit_570m", {"img_size": 144}, 144),
                   ("gemma4_vit_570m_enc", {"img_size": 144}, 144)],
    "mobilenetv5": [("mobilenetv5_300m_enc", {}, 256), ("mobilenetv5_300m", {}, 256)],
    "fastvit": [("fastvit_mci4", {}, 256)],
    "volo": [("volo_d5_224", {}, 224)],
    "vision_transformer_sam": [("samvit_large_patch16", {"img_size": 256}, 256), ("samvit_huge_patch16", {"img_size": 256}, 256)],
    "naflexvit": [("naflexvit_so400m_patch16_siglip", {}, 224), ("naflexvit_so400m_patch16_radio_v4", {}, 224),
                  ("naflexvit_large_patch16_radio_v3", {}, 224), ("naflexvit_huge_patch16_radio_v3", {}, 224),
                  ("naflexvit_huge_patch16_radio_v4", {}, 224)],
    "davit": [("davit_huge", {}, 224), ("davit_huge_fl", {}, 224)],
    "focalnet": [("focalnet_xlarge_fl3", {}, 224), ("focalnet_xlarge_fl4", {}, 224), ("focalnet_huge_fl3", {}, 224),
                 ("focalnet_huge_fl4", {}, 224)],
    "cait": [("cait_m36_384", {"img_size": 224}, 224), ("cait_m48_448", {"img_size": 224}, 224)],
    "vision_transformer_hybrid": [("vit_large_r50_s32_224", {}, 224)],
    "hiera": [("hiera_huge_224", {}, 224)],
    "mvitv2": [("mvitv2_huge_cls", {}, 224)],
    "maxxvit": [("coatnet_4_224", {}, 224), ("coatnet_5_224", {}, 224), ("maxvit_xlarge_tf_224", {}, 224)],
    "swin_transformer_v2_cr": [("swinv2_cr_huge_224", {}, 224)],
    "resnetv2": [("resnetv2_152x2_bit", {}, 224), ("resnetv2_101x3_bit", {}, 224), ("resnetv2_152x4_bit", {}, 128)],
    "byobnet": [("resnet50x64_clip", {"img_size": 224}, 224), ("resnet50x64_clip_gap", {}, 224)],
    "nfnet": [("dm_nfnet_f4", {}, 224), ("nfnet_f4", {}, 224), ("nfnet_f5", {}, 224), ("dm_nfnet_f6", {}, 192), ("nfnet_f7", {}, 192)],
}


def entry(name, kwargs, size):
    model = create(name, **kwargs).eval()
    fill(model)
    trained = {n for n, _ in model.named_parameters()}
    lines = [f"{n}\t{','.join(map(str, t.shape))}\t{str(t.dtype).removeprefix('torch.')}\t{'p' if n in trained else 'b'}\n"
             for n, t in model.state_dict().items()]
    params = sum(p.numel() for p in model.parameters())
    x = image(1, 3, size, size)
    with torch.no_grad():
        answer = single = outputs(model, x)
        tol = SINGLE
        if params <= TWICE:
            answer = outputs(model.double(), x.double())
            tol = tolerance(answer, single)
    return {"name": name, "kwargs": kwargs, "params": params, "state_entries": len(lines), "state_fnv1a": f"{fnv1a(''.join(lines).encode()):016x}",
            "input": list(x.shape[1:]), "batch": 1, "num_classes": model.num_classes, "num_features": model.num_features,
            "head_hidden_size": model.head_hidden_size, **answer, "tol": tol}


def main():
    torch.set_num_threads(1)
    folder = pathlib.Path(__file__).parent.parent / "large"
    folder.mkdir(exist_ok=True)
    for module in sys.argv[1:] or CASES:
        path = folder / f"{module}.json"
        rows = json.loads(path.read_text()) if path.exists() else []
        for case in CASES[module]:
            if any((row["name"], row["kwargs"], row["input"][1]) == case for row in rows):
                continue
            print(*case, flush=True)
            rows.append(entry(*case))
            path.write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")
            gc.collect()


if __name__ == "__main__":
    main()
