# SPDX-License-Identifier: Apache-2.0
# tools/install_headers.py — the engine's headers below include/fovea/, which name each other as <fovea/…>.
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ["engine", "nn", "weights_tools", "hub", "onnx", "data", "zoo", "processes", "train", "api"]
OWN_PLACE = {"api/fovea.h", "api/fovea.hpp"}     # which are include/fovea.h and include/fovea.hpp


def rewritten(text):
    """The header as others include it: "nn/module.h" is <fovea/nn/module.h>."""
    folders = "|".join(FOLDERS)
    for name in OWN_PLACE:
        text = text.replace(f'#include "{name}"', f"#include <{pathlib.PurePosixPath(name).name}>")
    return re.sub(rf'^(\s*#\s*include\s+)"((?:{folders})/[^"]+)"', r"\1<fovea/\2>", text, flags=re.M)


def install(target):
    names = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.h")):
            name = path.relative_to(ROOT).as_posix()
            if name in OWN_PLACE or path.parent.name == "pch":   # precompiled: of the build alone
                continue
            to = target / name
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(rewritten(path.read_text()))
            names.append(name)
    return names


if __name__ == "__main__":
    # Meson says where: MESON_INSTALL_DESTDIR_PREFIX, with DESTDIR in front of it.
    prefix = pathlib.Path(os.environ["MESON_INSTALL_DESTDIR_PREFIX"])
    print(f"installed {len(install(prefix / sys.argv[1] / 'fovea'))} headers of the engine")
