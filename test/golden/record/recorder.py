# SPDX-License-Identifier: Apache-2.0
"""recorder.py — what the recorders of whole models share: which cases a family has, and the one file a family that they write.

families/<module>.py lists a family's cases as plain data, under the names GRADIENTS, FIRST_VALUES, LEVELS, VARIATIONS and, where need
be, STEADY; each recorder says what a case of its own is. `python3 gradients.py vgg dla` records two families, without names all of them.
"""
import argparse
import dataclasses
import importlib
import pathlib
import sys

import timm

FOLDER = pathlib.Path(__file__).parent


def create(name, **kwargs):
    """timm.create_model(), also with arguments that the architecture's own function gives and would not let change."""
    module = sys.modules[timm.model_entrypoint(name).__module__]
    try:
        return timm.create_model(name, **kwargs)
    except TypeError as error:
        if "unexpected keyword" in str(error):
            return create_of_cfg(module, name, kwargs)
        if "multiple values" not in str(error):
            raise
    build = module.build_model_with_cfg
    module.build_model_with_cfg = lambda *a, **given: build(*a, **{**given, **kwargs})
    try:
        return timm.create_model(name)
    finally:
        module.build_model_with_cfg = build


def create_of_cfg(module, name, kwargs):
    """The same of a module whose architectures are rows of a table: arguments that its constructor lacks are fields of the row."""
    row = module.model_cfgs[name]
    fields = {f.name for f in dataclasses.fields(row)}
    module.model_cfgs[name] = dataclasses.replace(row, **{k: v for k, v in kwargs.items() if k in fields})
    try:
        return timm.create_model(name, **{k: v for k, v in kwargs.items() if k not in fields})
    finally:
        module.model_cfgs[name] = row


def record(kind, text_of):
    """Writes <out>/<kind>/<module>.json, a list of text_of(*case), for every family asked for that has cases of this kind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("modules", nargs="*", help="timm's modules; none: every family with cases")
    parser.add_argument("--out", type=pathlib.Path, default=FOLDER.parent)
    options = parser.parse_args()
    for module in options.modules or sorted(path.stem for path in (FOLDER / "families").glob("*.py")):
        cases = getattr(importlib.import_module(f"families.{module}"), kind.upper(), [])
        if cases:
            folder = options.out / kind
            folder.mkdir(parents=True, exist_ok=True)
            rows = ",\n".join(text_of(*case) if isinstance(case, tuple) else text_of(case) for case in cases)
            (folder / f"{module}.json").write_text(f"[\n{rows}\n]\n")
