# SPDX-License-Identifier: Apache-2.0
# tools/onnx_check.py — does ONNX Runtime answer as fovea does?
#
# onnx_check.py FILE.onnx ANSWERS.npz             a file of `fovea export --check ANSWERS.npz`
# onnx_check.py --models TOOL NAMES…       exports models with their first values and compares them; without names, the
#                                          smallest of each module
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

TOLERANCE = 1e-4  # of the largest answer


def deviation(path, answers):
    """The largest difference of any output at any batch, as a share of the largest value."""
    onnx.checker.check_model(path, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    outputs = [o.name for o in session.get_outputs()]
    answers = np.load(answers)
    worst = 0.0
    for key in answers.files:
        if not key.startswith("images_"):
            continue
        batch = key.removeprefix("images_")
        for name, found in zip(outputs, session.run(outputs, {session.get_inputs()[0].name: answers[key]})):
            wanted = answers[f"{name}_of_{batch}"]
            assert found.shape == wanted.shape, (name, batch, found.shape, wanted.shape)
            assert np.isfinite(found).all(), (name, batch)
            worst = max(worst, float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30)))
    return worst


def smallest_of_modules(tool):
    modules = {}
    for line in subprocess.run([tool, "models", "--families"], capture_output=True, text=True, check=True).stdout.splitlines()[1:-1]:
        name, models = line.split()[:2]
        if int(models):
            modules[name] = subprocess.run([tool, "models", "--module", name], capture_output=True, text=True,
                                           check=True).stdout.split()
    for names in modules.values():
        infos = [json.loads(subprocess.run([tool, "info", n, "--json"], capture_output=True, text=True, check=True).stdout)
                 for n in names]
        yield min(infos, key=lambda i: i["params"] * i["input"][1])["name"].split(".")[0]


def check_models(tool, names):
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        path, answers = f"{scratch}/m.onnx", f"{scratch}/a.npz"
        for name in names or smallest_of_modules(tool):
            done = subprocess.run([tool, "export", name, "--first-values", "--dynamic", "-o", path, "--check", answers],
                                  capture_output=True, text=True)
            try:
                if done.returncode:
                    raise RuntimeError(done.stderr.strip().splitlines()[0])
                worst = deviation(path, answers)
                ok, said = worst <= TOLERANCE, f"{worst:.2e}"
            except Exception as problem:  # one that cannot be checked does not keep the others from it
                ok, said = False, str(problem).splitlines()[0][:200]
            print(f"{'ok  ' if ok else 'BAD '} {name}: {said}", flush=True)
            failed += [] if ok else [name]
            for file in pathlib.Path(scratch).iterdir():
                file.unlink()
    print(f"{len(failed)} failed{': ' + ' '.join(failed) if failed else ''}")
    return 1 if failed else 0


def main():
    if sys.argv[1] == "--models":
        return check_models(sys.argv[2], sys.argv[3:])
    worst = deviation(sys.argv[1], sys.argv[2])
    print(f"{sys.argv[1]}: {worst:.2e} of the largest")
    return 0 if worst <= TOLERANCE else 1


sys.exit(main())
