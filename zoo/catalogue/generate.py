#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes pretrained.tsv and deprecated.tsv beside this file: what an installed timm says about its published weights.

    generate.py            reads timm itself
    generate.py DIRECTORY  reads DIRECTORY/pretrained.jsonl and DIRECTORY/deprecated.tsv, made from timm earlier

Run by hand when timm changes; the difference is reviewed as any other. An empty field means PretrainedCfg's default.
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
COLUMNS = ["architecture", "tag", "module", "is_default", "url", "file", "hf_hub_id", "hf_hub_filename", "custom_load", "input_size",
           "test_input_size", "min_input_size", "fixed_input_size", "interpolation", "crop_pct", "test_crop_pct", "crop_mode", "mean",
           "std", "num_classes", "pool_size", "test_pool_size", "first_conv", "classifier", "license", "origin_url", "paper_ids",
           "paper_name", "notes", "description"]
DEFAULTS = {"input_size": "3,224,224", "interpolation": "bicubic", "crop_pct": "0.875", "crop_mode": "center", "num_classes": "1000",
            "mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"}


def from_timm():
    import warnings
    warnings.filterwarnings("ignore")
    import timm
    from timm.models import _registry as registry
    rows = []
    for architecture in timm.list_models():
        for cfg in registry.get_arch_pretrained_cfgs(architecture).values():
            default = timm.get_pretrained_cfg(architecture).tag == cfg.tag
            rows.append({**cfg.to_dict(), "module": registry._model_to_module[architecture], "default": default})
    return rows, dict(registry.get_deprecated_models())


def from_directory(path):
    rows = [json.loads(line) for line in (path / "pretrained.jsonl").read_text().splitlines()]
    return rows, dict(line.split("\t") for line in (path / "deprecated.tsv").read_text().splitlines())


def text(value):
    if value is None or value is False or value == [] or value == ():
        return ""
    if value is True:
        return "1"
    if isinstance(value, (list, tuple)):
        return ",".join(text(v) for v in value)
    if isinstance(value, float):
        return repr(round(value, 8))
    out = str(value)
    assert "\t" not in out and "\n" not in out, out
    return out


def row_of(cfg):
    row = {c: text(cfg.get(c)) for c in COLUMNS}
    row["is_default"] = text(bool(cfg["default"]))
    if row["hf_hub_id"] == f"timm/{row['architecture']}" + (f".{row['tag']}" if row["tag"] else ""):
        row["hf_hub_id"] = "timm/"
    return ["" if row[c] == DEFAULTS.get(c) else row[c] for c in COLUMNS]


def main():
    cfgs, deprecated = from_directory(pathlib.Path(sys.argv[1])) if len(sys.argv) > 1 else from_timm()
    rows = sorted((row_of(c) for c in cfgs), key=lambda r: (r[0], r[3] != "1", r[1]))
    with open(HERE / "pretrained.tsv", "w") as f:
        f.writelines("\t".join(r) + "\n" for r in [COLUMNS, *rows])
    with open(HERE / "deprecated.tsv", "w") as f:
        f.writelines(f"{old}\t{new}\n" for old, new in sorted(deprecated.items()))


main()
