#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes imagenet.tsv.gz beside this file from an installed timm: a line a synset of any subset of ImageNet, in order.

Columns: synset, subsets (a sum of the numbers in SUBSETS), lemmas, definition. Run by hand when timm changes.
"""
import gzip
import pathlib

SUBSETS = {"imagenet-1k": 1, "imagenet-12k": 2, "imagenet-21k-goog": 4, "imagenet-21k-miil": 8, "imagenet-22k": 16,
           "imagenet-22k-ms": 32}


def main():
    from timm.data import ImageNetInfo
    names, rows = {}, {}
    for subset, bit in SUBSETS.items():
        info = ImageNetInfo(subset)
        names[subset] = info.label_names()
        for synset in names[subset]:
            lemma, detail = info.label_name_to_description(synset), info.label_name_to_description(synset, detailed=True)
            assert detail.startswith(lemma + ": ") and "\t" not in detail and "\n" not in detail
            row = rows.setdefault(synset, [0, lemma, detail[len(lemma) + 2:]])
            row[0] |= bit
    # the reader relies on it: subsets are in the order of their synsets, but Microsoft's has those of 1k first
    for subset, listed in names.items():
        first = names["imagenet-1k"] if subset == "imagenet-22k-ms" else []
        assert listed == first + sorted(set(listed) - set(first)), subset
    text = "".join("\t".join([synset, *map(str, rows[synset])]) + "\n" for synset in sorted(rows))
    packed = gzip.compress(text.encode(), 9, mtime=0)
    pathlib.Path(__file__).with_name("imagenet.tsv.gz").write_bytes(packed)


main()
