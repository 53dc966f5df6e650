# SPDX-License-Identifier: Apache-2.0
# test/golden/record/lists.py — what timm's list_models() answers, for test/cli/models.cpp: a line a query, its count and its SHA-256.
import hashlib
import json
import pathlib
import warnings

warnings.filterwarnings("ignore")
import timm  # noqa: E402

QUERIES = [
    {"pretrained": True}, {}, {"include_tags": True}, {"filter": "resnet*"}, {"filter": "resnet*", "pretrained": True},
    {"filter": "*resnext*", "module": "resnet"}, {"filter": "efficientnet_b?"}, {"filter": "efficientnet_b[0-3]"},
    {"filter": "efficientnet_b[!0-3]*"}, {"filter": ["resnet*", "vit_*"]}, {"filter": ["resnet*", "vit_*"], "pretrained": True},
    {"filter": "vit_*", "exclude_filters": "*dinov2*"}, {"filter": "vit_*", "exclude_filters": ["*dinov2*", "*clip*"], "pretrained": True},
    {"filter": "vit_*", "exclude_filters": "*.augreg*", "pretrained": True}, {"filter": "*.in1k", "pretrained": True},
    {"filter": "*.fb_in22k_ft_in1k*", "pretrained": True}, {"filter": "*in12k*", "pretrained": True}, {"filter": "*in12k*"},
    {"filter": "*.a1_in1k", "include_tags": True}, {"filter": "convnext*", "module": "convnext"},
    {"module": "vision_transformer"}, {"module": "vision_transformer", "pretrained": True},
    {"module": "vision_transformer", "include_tags": True}, {"module": "efficientnet", "pretrained": True},
    {"module": "byobnet"}, {"module": "swin_transformer_v2", "pretrained": True, "include_tags": False},
    {"pretrained": True, "include_tags": False}, {"filter": "test_*"}, {"filter": "test_*", "pretrained": True},
    {"filter": "*_384*", "pretrained": True}, {"filter": "*_384*"}, {"filter": "*clip*"}, {"filter": "*clip*", "pretrained": True},
    {"filter": "*.*clip*", "pretrained": True}, {"filter": "dla*"}, {"filter": "xcit_*_24_*"}, {"filter": "no_such_model"},
    {"filter": "*", "exclude_filters": "*_*"}, {"filter": "*", "exclude_filters": "*"}, {"exclude_filters": "vit*", "pretrained": True},
    {"filter": "mobilenet*", "exclude_filters": ["*v2*", "*v4*"]}, {"filter": "mobilenetv4*", "pretrained": True},
    {"filter": "eva02_*", "pretrained": True}, {"filter": "regnet[xyz]_*"}, {"filter": "*b1*"}, {"filter": "RESNET*"},
    {"filter": "tf_efficientnet*.ns_jft_in1k", "pretrained": True}, {"filter": "resnet50", "pretrained": True},
    {"filter": "resnet50.a1_in1k", "pretrained": True}, {"filter": "samvit*", "include_tags": True},
    {"filter": "*_in21k", "pretrained": True}, {"filter": "beit*", "exclude_filters": "beit_large*", "include_tags": True},
    {"filter": "naflexvit*", "include_tags": True}, {"filter": "hgnet*", "module": "hgnet", "include_tags": True},
]


def arguments(query):
    """The same query for `fovea models`."""
    listed = lambda value: [value] if isinstance(value, str) else list(value)
    out = listed(query.get("filter", []))
    for pattern in listed(query.get("exclude_filters", [])):
        out += ["--exclude", pattern]
    if "module" in query:
        out += ["--module", query["module"]]
    pretrained = query.get("pretrained", False)
    if pretrained:
        out += ["--pretrained"]
    tags = query.get("include_tags", pretrained)
    if tags != pretrained or pretrained:
        out += ["--tags" if tags else "--no-tags"]
    return out


def main():
    out = pathlib.Path(__file__).resolve().parents[1] / "lists.tsv"
    with out.open("w") as file:
        file.write("# arguments\tcount\tsha256 of the lines\n")
        for query in QUERIES:
            names = timm.list_models(**query)
            digest = hashlib.sha256("".join(name + "\n" for name in names).encode()).hexdigest()
            file.write(f"{json.dumps(arguments(query))}\t{len(names)}\t{digest}\n")


main()
