#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run by the build: embed.py pretrained.tsv deprecated.tsv OUT turns the catalogue into text that the program reads.

Rows as initialised structs would be 400 bytes and a dozen relocations each; text is 200 bytes and none."""
import sys


def quoted(s):
    return '"' + s.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'


def main():
    pretrained, deprecated, out = sys.argv[1:]
    with open(pretrained) as f:
        columns, *rows = [line.rstrip("\n").split("\t") for line in f]
    with open(deprecated) as f:
        names = [line.rstrip("\n").split("\t") for line in f]
    architecture, tag, repository = (columns.index(c) for c in ("architecture", "tag", "hf_hub_id"))
    for row in rows:
        if row[repository] == "timm/":   # the repository is called as the weights are
            row[repository] = "timm/" + row[architecture] + ("." + row[tag] if row[tag] else "")
    with open(out, "w") as f:
        f.write("constexpr char kRows[] =\n")
        f.writelines("  " + quoted("\t".join(row))[:-1] + '\\n"\n' for row in [columns, *rows])
        f.write("  ;\nconstexpr Deprecated kDeprecated[] = {\n")
        f.writelines(f"  {{{quoted(old)}, {quoted(new)}}},\n" for old, new in names)
        f.write("};\n")


main()
