# SPDX-License-Identifier: Apache-2.0
# tools/sizes.py — how large the library and the tool of a build are without symbols, and what the library needs, against budgets.
#
# sizes.py BUILD…     exits with 1 where a budget is exceeded
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

MB = 1_000_000
# Of a build with these families: bytes of what it makes.
BUDGETS = {
    "all": {"packaging/libfovea.so": 20 * MB, "cli/fovea": 14 * MB},
    "mobilenetv3": {"packaging/libfovea.so": 5.6 * MB},
    "mobilenetv3,resnet": {"cli/fovea": 6.3 * MB},
}
# What a library without oneDNN and libcurl is linked with, before their versions.
USUAL = ["linux-vdso", "ld-linux-x86-64", "libc", "libm", "libstdc++", "libgcc_s", "libpthread", "libz"]
IMAGES = ["libjpeg", "libwebp", "libwebpdemux", "libgif", "libtiff"]


def options_of(build):
    rows = json.loads((build / "meson-info/intro-buildoptions.json").read_text())
    return {row["name"]: row["value"] for row in rows}


def stripped_size(path):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "copy"
        shutil.copy(path, copy)
        subprocess.run(["strip", copy], check=True)
        return copy.stat().st_size


def needed(path):
    """The libraries that the file itself names."""
    out = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True).stdout
    return [line.split("[")[1].split("]")[0].split(".so")[0] for line in out.splitlines() if "(NEEDED)" in line]


def excess_of(folder):
    """What is over budget in a build folder, a line each; prints what was measured."""
    build = pathlib.Path(folder)
    options = options_of(build)
    families = ",".join(sorted(options["families"]))
    over = []
    for name in ("packaging/libfovea.so", "cli/fovea"):
        if not (build / name).exists():
            continue
        size, limit = stripped_size(build / name), BUDGETS.get(families, {}).get(name)
        print(f"{size / MB:7.2f} MB  {name} of {families}" + (f", budget {limit / MB:.1f} MB" if limit else ""))
        if limit and size > limit:
            over.append(f"{name} of {families} has {size / MB:.2f} MB; its budget is {limit / MB:.1f} MB")
    library = build / "packaging/libfovea.so"
    if library.exists() and options["onednn"] == "disabled" and options["hub"] == "disabled":
        over += [f"{library} needs {name}" for name in needed(library) if name not in USUAL + IMAGES]
    return over


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("builds", nargs="+", help="meson build folders")
    excess = [line for folder in parser.parse_args().builds for line in excess_of(folder)]
    for line in excess:
        print(f"over budget: {line}")
    return 1 if excess else 0


if __name__ == "__main__":
    sys.exit(main())
