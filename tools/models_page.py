# SPDX-License-Identifier: Apache-2.0
# tools/models_page.py — docs/models.md: a row for each architecture, by family, from what `build/fovea` says of them.
#
#   python3 tools/models_page.py build/fovea > docs/models.md
import collections
import json
import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAPERS = ROOT / "zoo/catalogue/papers.tsv"
HEAD = """# Models

Every architecture that `fovea models` lists, by family (a module of timm), with the papers that timm names for it. The work is that of
products and convolutions for one image of the input size, in multiply-adds. Weights are the tags that follow the name and a dot;
`fovea classify NAME.TAG photo.jpg` fetches them. A model without tags has no published weights.

`./dev catalogue` writes this page.
"""


def told(tool, *arguments):
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=True).stdout


def papers():
    out = collections.defaultdict(list)
    for line in PAPERS.read_text().splitlines():
        module, arxiv, title = line.split("\t")
        out[module].append(f"[{title}](https://arxiv.org/abs/{arxiv})")
    return out


def tags(tool):
    """By architecture: its tags and their licenses, as the catalogue orders them."""
    out = collections.defaultdict(list)
    for line in told(tool, "models", "--all", "--pretrained", "--tags", "--show-license").splitlines():
        name, _, license_name = line.partition("\t")
        architecture, _, tag = name.partition(".")
        out[architecture].append((tag or "(no tag)", license_name))
    return out


def weights(of):
    """One text a license: "a1_in1k, a2_in1k: apache-2.0"."""
    by_license = collections.defaultdict(list)
    for tag, license_name in of:
        by_license[license_name or "no license named"].append(tag)
    return "; ".join(f"{', '.join(names)}: {license_name}" for license_name, names in by_license.items())


def row(info, its_tags):
    side = " x ".join(str(n) for n in info["input"])
    return f"| {info['name'].split('.')[0]} | {info['params'] / 1e6:.2f} | {info['macs'] / 1e9:.2f} | {side} | {weights(its_tags)} |"


def main():
    tool = sys.argv[1]
    names = told(tool, "models").split()
    with ThreadPoolExecutor(2) as pool:
        infos = list(pool.map(lambda name: json.loads(told(tool, "info", name, "--json")), names))
    by_module = collections.defaultdict(list)
    for info in infos:
        by_module[info["module"]].append(info)
    its_papers, its_tags = papers(), tags(tool)
    print(HEAD)
    for module in sorted(by_module):
        print(f"## {module}\n")
        for paper in its_papers[module]:
            print(f"- {paper}")
        print("\n| model | M parameters | GMACs | input | weights |\n|---|---:|---:|---|---|")
        for info in by_module[module]:
            print(row(info, its_tags[info["name"].split(".")[0]]))
        print()


if __name__ == "__main__":
    main()
