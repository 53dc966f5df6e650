# SPDX-License-Identifier: Apache-2.0
# test/hub/interop.py — Python's huggingface_hub finds what fovea fetched and the reverse; timm opens what fovea wrote. `./dev soak` runs it.
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOVEA = str(ROOT / "build/fovea")


def make_repositories(folder):
    dice = random.Random(1)
    out = {}
    for i in range(10):
        files = {"config.json": dice.randbytes(200 + i), "model.safetensors": dice.randbytes(1000 * (i + 1)), "sub/more.txt": b"text"}
        for name, content in files.items():
            path = folder / f"org/model-{i}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        out[f"org/model-{i}"] = files
    return out


def run(code_or_arguments, environment, tool=True):
    command = [FOVEA, *code_or_arguments] if tool else [sys.executable, "-c", code_or_arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout.split()


def python_paths(repositories, environment, local):
    rows = [(repo, name) for repo, files in repositories.items() for name in files]
    code = f"""
from huggingface_hub import hf_hub_download
for repo, name in {rows!r}:
    print(hf_hub_download(repo, name, local_files_only={local}))
"""
    return dict(zip(rows, run(code, environment, tool=False)))


def fovea_paths(repositories, environment):
    return {(repo, name): run(["download", repo, "--file", name], environment)[0]
            for repo, files in repositories.items() for name in files}


def check(repositories, paths):
    for (repo, name), path in paths.items():
        assert pathlib.Path(path).read_bytes() == repositories[repo][name], (repo, name, path)


def check_timm(scratch):
    """A folder that fovea wrote gives timm the logits that the weights gave fovea."""
    code = f"""
import json, subprocess, sys, torch, timm
torch.manual_seed(1)
name, folder = "resnet18", {str(scratch / "written")!r}
source = timm.create_model(name, num_classes=7).eval()
torch.save({{"state_dict": source.state_dict()}}, {str(scratch / "w.pth")!r})
open({str(scratch / "labels.txt")!r}, "w").write("".join(f"label {{i}}\\n" for i in range(7)))
subprocess.run([{FOVEA!r}, "convert", {str(scratch / "w.pth")!r}, folder + "/", "--model", name, "--labels",
                {str(scratch / "labels.txt")!r}, "--crop-pct", "0.9"], check=True)
model = timm.create_model("local-dir:" + folder, pretrained=True).eval()
x = torch.randn(2, 3, 224, 224)
assert model.num_classes == 7 and model.pretrained_cfg["crop_pct"] == 0.9
assert json.load(open(folder + "/config.json"))["label_names"][3] == "label 3"
assert torch.equal(model(x), source(x))
"""
    run(code, {}, tool=False)
    print("timm opens a folder that fovea wrote: the same logits")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        repositories = make_repositories(scratch / "hub")
        server = subprocess.Popen([sys.executable, str(ROOT / "test/hub/server.py"), str(scratch / "hub")], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        port = server.stdout.readline().split()[0]
        base = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        for links in ("", "1"):
            for first in ("fovea", "python"):
                cache = scratch / f"cache-{first}-{links}"
                around = {**base, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_SYMLINKS": links}
                offline = {**around, "HF_HUB_OFFLINE": "1"}
                if first == "fovea":
                    made, found = fovea_paths(repositories, around), lambda e=offline: python_paths(repositories, e, True)
                else:
                    made, found = python_paths(repositories, around, False), lambda e=offline: fovea_paths(repositories, e)
                check(repositories, made)
                assert found() == made, (links, first)
                subprocess.run(["chmod", "-R", "a-w", str(cache)], check=True)  # a cache that can only be read
                assert found() == made
                subprocess.run(["chmod", "-R", "u+w", str(cache)], check=True)
                print(f"{first} first{', without links' if links else ''}: {len(made)} files of {len(repositories)} repositories")
                shutil.rmtree(cache)
        server.stdin.close()
        server.wait(10)
        check_timm(scratch)


main()
