#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run by the build: embed.py pretrained.tsv deprecated.tsv OUT [--packed] turns the catalogue into text that the program reads.

Rows as initialised structs would be 400 bytes and a dozen relocations each; text is 200 bytes and none. Packed it is a zip archive of one
file: 15 bytes a row, and a millisecond when the first name is looked up."""
import io
import sys
import zipfile


def quoted(s):
    return '"' + s.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'


def archive(text):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as z:
        z.writestr(zipfile.ZipInfo("rows"), text, zipfile.ZIP_DEFLATED, 9)
    return packed.getvalue()


def write_packed(f, text):
    content = archive(text)
    f.write("#define FOVEA_PACKED_ROWS 1\nconstexpr unsigned char kRows[] = {\n")
    f.writelines(",".join(map(str, content[i:i + 40])) + ",\n" for i in range(0, len(content), 40))
    f.write("};\n")


def main():
    pretrained, deprecated, out, *packed = sys.argv[1:]
    with open(pretrained) as f:
        columns, *rows = [line.rstrip("\n").split("\t") for line in f]
    with open(deprecated) as f:
        names = [line.rstrip("\n").split("\t") for line in f]
    architecture, tag, repository = (columns.index(c) for c in ("architecture", "tag", "hf_hub_id"))
    for row in rows:
        if row[repository] == "timm/":   # the repository is called as the weights are
            row[repository] = "timm/" + row[architecture] + ("." + row[tag] if row[tag] else "")
    with open(out, "w") as f:
        if packed:
            write_packed(f, "".join("\t".join(row) + "\n" for row in [columns, *rows]))
        else:
            f.write("constexpr char kRows[] =\n")
            f.writelines("  " + quoted("\t".join(row))[:-1] + '\\n"\n' for row in [columns, *rows])
            f.write("  ;\n")
        f.write("constexpr Deprecated kDeprecated[] = {\n")
        f.writelines(f"  {{{quoted(old)}, {quoted(new)}}},\n" for old, new in names)
        f.write("};\n")


main()
