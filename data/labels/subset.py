#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run by the build: subset.py imagenet.tsv.gz pretrained.tsv OUT FAMILIES… leaves of the table of ImageNet's classes what small builds need.

A row stays where weights of one of the families tell it apart from others (as many classes as a subset that the row is of), and loses its
definition. OUT is .tsv.gz, the same whenever it is made."""
import gzip
import sys

SUBSETS = {1000: 1, 11821: 2, 21843: 4, 11221: 8, 21841: 16, 21842: 32}


def wanted_bits(pretrained, families):
    with open(pretrained) as f:
        columns, *rows = [line.rstrip("\n").split("\t") for line in f]
    module, classes = columns.index("module"), columns.index("num_classes")
    bits = SUBSETS[1000]
    for row in rows:
        if row[module] in families:
            bits |= SUBSETS.get(int(row[classes] or 1000), 0)
    return bits


def main(table, pretrained, out, *families):
    bits = wanted_bits(pretrained, families)
    with gzip.open(table, "rt", encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    kept = ["\t".join([synset, str(int(mask) & bits), lemmas, ""]) for synset, mask, lemmas, _ in rows if int(mask) & bits]
    with open(out, "wb") as f:
        f.write(gzip.compress("".join(line + "\n" for line in kept).encode(), 9, mtime=0))


main(*sys.argv[1:])
