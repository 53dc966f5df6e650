#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run by the build: embed.py pretrained.tsv deprecated.tsv OUT turns the catalogue into constant C++ tables."""
import sys

NUMBERS = {"crop_pct", "test_crop_pct"}
LISTS = {"input_size", "test_input_size", "min_input_size", "pool_size", "test_pool_size"}
FLAGS = {"is_default", "custom_load", "fixed_input_size"}


def quoted(s):
    return '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'


def number(s):
    return s + ("f" if "." in s or "e" in s else ".0f")


def value(column, s):
    if column in FLAGS:
        return "true"
    if column == "num_classes":
        return s
    if column in LISTS:
        return "{" + s + "}"
    if column in ("mean", "std"):
        return "{" + ", ".join(number(v) for v in s.split(",")) + "}"
    if column in NUMBERS:
        return number(s)
    return quoted(s)


def initialiser(columns, row):
    fields = dict(zip(columns, row))
    if fields["hf_hub_id"] == "timm/":
        fields["hf_hub_id"] = "timm/" + fields["architecture"] + ("." + fields["tag"] if fields["tag"] else "")
    given = [f".{c} = {value(c, v)}" for c, v in fields.items() if v]
    return "  {" + ", ".join(given) + "},\n"


def main():
    pretrained, deprecated, out = sys.argv[1:]
    with open(pretrained) as f:
        columns, *rows = [line.rstrip("\n").split("\t") for line in f]
    with open(deprecated) as f:
        names = [line.rstrip("\n").split("\t") for line in f]
    with open(out, "w") as f:
        f.write("constexpr PretrainedCfg kCatalogue[] = {\n")
        f.writelines(initialiser(columns, row) for row in rows)
        f.write("};\nconstexpr Deprecated kDeprecated[] = {\n")
        f.writelines(f"  {{{quoted(old)}, {quoted(new)}}},\n" for old, new in names)
        f.write("};\n")


main()
