# SPDX-License-Identifier: Apache-2.0
# tools/ready_times.py — from a file of weights to a model that is ready: fovea from its plan cache, and PyTorch's load_state_dict.
#
# ready_times.py TOOL [RUNS]     by turns, each the best of RUNS; also how long fovea takes without the cache
import json
import os
import subprocess
import sys
import tempfile
import time

import safetensors.torch
import timm
import torch


def fovea(tool, name, weights, cache):
    done = subprocess.run([tool, "bench", name, "--once", "--weights", weights, *(["--cache"] if cache else [])], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["from_cache"] == cache or cache == "fill", told
    return told["load_s"] * 1e3


def pytorch(model, weights):
    start = time.perf_counter()
    model.load_state_dict(safetensors.torch.load_file(weights))
    return (time.perf_counter() - start) * 1e3


def main():
    tool, runs = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 7
    slower = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FOVEA_CACHE"] = f"{folder}/plans"
        for name in ("resnet50", "vit_base_patch16_224"):
            weights, model = f"{folder}/{name}.safetensors", timm.create_model(name).eval()
            safetensors.torch.save_file(model.state_dict(), weights)
            time.sleep(2.1)  # a file that is newer may still change without a sign of it
            fovea(tool, name, weights, "fill")
            times = {"fovea, from the plan cache": [], "PyTorch, load_file and load_state_dict": [], "fovea, without the cache": []}
            for _ in range(runs):
                times["fovea, from the plan cache"].append(fovea(tool, name, weights, True))
                times["PyTorch, load_file and load_state_dict"].append(pytorch(model, weights))
                times["fovea, without the cache"].append(fovea(tool, name, weights, False))
            for what, ms in times.items():
                print(f"{name}: {what}: {min(ms):.1f} ms, median {sorted(ms)[runs // 2]:.1f}", flush=True)
            ready, peer = times["fovea, from the plan cache"], times["PyTorch, load_file and load_state_dict"]
            slower += [name] if sorted(ready)[runs // 2] >= sorted(peer)[runs // 2] else []
    print(f"{len(slower)} slower than PyTorch{': ' + ' '.join(slower) if slower else ''}")
    return 1 if slower else 0


torch.set_grad_enabled(False)
sys.exit(main())
