# SPDX-License-Identifier: Apache-2.0
"""Prints the files that families are made of, a line each: their own, and those of zoo/blocks that they include, directly or
through each other.

    blocks.py ROOT FAMILY.cpp ...

A block is a header and, beside it, a source of the same name; or a folder, whose header stands for all its sources.
"""
import pathlib
import re
import sys

INCLUDED = re.compile(r'^#include "(zoo/blocks/[^"]+\.h)"', re.MULTILINE)


def files_of(root, families):
    found, open_files = set(families), list(families)
    while open_files:
        for name in INCLUDED.findall(open_files.pop().read_text()):
            header = root / name
            sources = [header.with_suffix(".cpp")] if header.parent.name == "blocks" else header.parent.glob("*.cpp")
            for path in [header, *sources]:
                if path not in found and path.exists():
                    found.add(path)
                    open_files.append(path)
    return sorted(found)


if __name__ == "__main__":
    for path in files_of(pathlib.Path(sys.argv[1]), [pathlib.Path(name) for name in sys.argv[2:]]):
        print(path)
