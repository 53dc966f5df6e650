# SPDX-License-Identifier: Apache-2.0
"""test/golden/record/weights.py — writes the weight files of test/golden/weights with torch, safetensors and numpy.

Run by hand: python test/golden/record/weights.py. The committed files: torch 2.15.0, safetensors 0.8.0, numpy 2.4.6.
Every tensor is a ramp, base + step * k in row-major order, so that tests need no second copy of the values.
"""
import argparse
import collections
import io
import os
import pathlib
import pickle
import zipfile

import numpy as np
import safetensors.torch
import torch
from torch.utils import serialization

OUT = pathlib.Path(__file__).resolve().parents[1] / "weights"


def ramp(shape, base, dtype=torch.float32, step=0.5):
    count = int(np.prod(shape))
    return (base + step * torch.arange(count, dtype=torch.float64)).reshape(shape).to(dtype)


def plain():
    """One tensor of each kind that fovea reads."""
    return collections.OrderedDict([
        ("stem.conv.weight", ramp((4, 3, 2, 2), -1)),
        ("stem.bn.num_batches_tracked", torch.tensor(7)),
        ("half", ramp((3, 2), 1, torch.float16)),
        ("brain", ramp((2, 3), 2, torch.bfloat16)),
        ("double", ramp((5,), 3, torch.float64)),
        ("long", ramp((4,), -2, torch.int64, 1)),
        ("int", ramp((4,), -2, torch.int32, 1)),
        ("char", ramp((3,), -1, torch.int8, 1)),
        ("byte", ramp((3,), 250, torch.uint8, 1)),
        ("flag", torch.tensor([True, False, True])),
        ("none", torch.zeros(0, 3)),
        ("scalar", torch.tensor(2.5)),
    ])


def strided():
    """Views of shared storages: transposed, channels-last, sliced, expanded, tied, a parameter."""
    base = ramp((4, 6), 0)
    return {
        "base": base,
        "transposed": base.t(),
        "sliced": base[1:3, ::2],
        "expanded": ramp((1, 3), 5).expand(2, 3),
        "channels_last": ramp((2, 3, 4, 5), 0).contiguous(memory_format=torch.channels_last),
        "tied": base,
        "parameter": torch.nn.Parameter(ramp((3,), 9)),
    }


def training():
    """What timm's CheckpointSaver writes, with an optimizer's state and the command line."""
    weights = collections.OrderedDict([("module.fc.weight", ramp((2, 3), 0)), ("module.fc.bias", ramp((2,), 10))])
    weights._metadata = collections.OrderedDict([("", {"version": 1})])
    average = collections.OrderedDict([("_orig_mod.module.fc.weight", ramp((2, 3), 100)),
                                       ("_orig_mod.module.fc.bias", ramp((2,), 110))])
    options = argparse.Namespace(lr=0.1, model="resnet18", mean=(0.5, 0.5), opt_betas=None, names={"a", "b"},
                                 path=pathlib.PurePosixPath("x"))
    return {
        "epoch": 3, "arch": "resnet18", "version": 2, "metric": 71.5,
        "big": 1 << 70, "negative": -300, "nothing": None, "yes": True,
        "state_dict": weights, "state_dict_ema": average,
        "optimizer": {"state": {0: {"step": torch.tensor(5.0), "momentum_buffer": ramp((2, 3), 50)}},
                      "param_groups": [{"lr": 0.1, "params": [0, 1]}]},
        "args": options,
    }


class Hostile:
    def __reduce__(self):
        return os.system, ("touch fovea_was_tricked",)


class HostileEval:
    def __reduce__(self):
        return eval, ("open('fovea_was_tricked', 'w')",)


def save(name, value, **options):
    torch.save(value, OUT / name, **options)


def beside():
    """What training scripts keep beside the weights, and classes of Python that need rare opcodes."""
    circle = ([],)
    circle[0].append(circle)
    return {"state_dict": {"fc.weight": ramp((2, 3), 0)}, "seed": 2**200, "debt": -2**70, "far": 2**40, "best": True,
            "frozen": frozenset([1, 2]), "classes": {"cat", "dog"}, "raw": b"bytes", "wave": 1j, "circle": circle,
            "args": argparse.Namespace(lr=0.1), "path": pathlib.PurePosixPath("x"), "losses": [1 / i for i in range(1, 40)],
            "numpy": np.random.default_rng(0).bit_generator.state, "array": np.arange(3), "float": np.float64(3.5)}


def torch_files():
    for kind, zipped in (("zip", True), ("stream", False)):
        options = {"_use_new_zipfile_serialization": zipped}
        save(f"plain.{kind}.pth", plain(), **options)
        save(f"strided.{kind}.pth", strided(), **options)
        save(f"training.{kind}.pth.tar", training(), **options)
        save(f"hostile_root.{kind}.pth", Hostile(), **options)
        among_tensors = {"fc.weight": ramp((2, 2), 0), "extra": Hostile(), "more": [HostileEval()]}
        save(f"hostile_value.{kind}.pth", among_tensors, **options)
        save(f"hostile_dict.{kind}.pth", {"model": HostileEval(), "epoch": 1}, **options)
    save("protocol4.zip.pth", plain(), pickle_protocol=4)
    save("protocol5.zip.pth", training(), pickle_protocol=5)
    save("protocol1.zip.pth", plain(), pickle_protocol=1)
    for protocol in (1, 3, 4):
        save(f"protocol{protocol}.stream.pth", plain(), pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    for protocol in (1, 2, 4):
        save(f"beside{protocol}.zip.pth", beside(), pickle_protocol=protocol)
    save("beside2.stream.pth", beside(), _use_new_zipfile_serialization=False)
    serialization.config.save.compute_crc32 = False
    save("unchecked.zip.pth", beside())
    serialization.config.save.compute_crc32 = True
    save("int16.zip.pth", {"fine": ramp((2,), 0), "short": torch.zeros(2, dtype=torch.int16)})
    save("uint16.zip.pth", {"unsigned": torch.zeros(2, dtype=torch.uint16)})
    save("complex.zip.pth", {"wave": torch.zeros(2, dtype=torch.complex64)})
    save("sparse.zip.pth", {"thin": torch.eye(3).to_sparse()})
    save("meta.zip.pth", {"empty": torch.zeros(3, device="meta")})
    save("quantised.zip.pth", {"q": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)})
    save("tensor.zip.pth", ramp((2,), 0))
    save("no_tensors.zip.pth", {"epoch": 1})
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(OUT / "script.pt"))
    pickle.dump({"a": 1}, open(OUT / "bare.pkl", "wb"), protocol=2)
    rewrite("plain.zip.pth", "big_endian.zip.pth", {"byteorder": b"big"})


def rewrite(source, target, changed):
    """A copy of a zip archive with other contents for some members."""
    with zipfile.ZipFile(OUT / source) as old, zipfile.ZipFile(OUT / target, "w") as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name), changed.get(name.split("/")[-1], old.read(name)))


def safetensors_files():
    safetensors.torch.save_file(plain(), OUT / "plain.safetensors", metadata={"format": "pt"})
    safetensors.torch.save_file({"short": torch.zeros(2, dtype=torch.int16)}, OUT / "int16.safetensors")
    safetensors.torch.save_file({"tiny": torch.zeros(2).to(torch.float8_e4m3fn)}, OUT / "float8.safetensors")


def numpy_files():
    r = lambda shape, base, dtype: (base + 0.5 * np.arange(int(np.prod(shape)))).reshape(shape).astype(dtype)
    arrays = {
        "Transformer/block_0/kernel": r((2, 3, 4), 0, "<f4"), "fortran": np.asfortranarray(r((3, 4), 1, "<f4")),
        "big": r((5,), 2, ">f4"),
        "big_fortran": np.asfortranarray(r((2, 3), 2, ">f8")), "half": r((4,), 3, "<f2"), "double": r((2, 2), 4, "<f8"),
        "long": np.arange(-2, 3), "int": np.arange(-2, 3, dtype="<i4"), "char": np.arange(-2, 3, dtype="i1"),
        "byte": np.arange(250, 255, dtype="u1"),
        "flag": np.array([True, False]), "scalar": np.float32(2.5), "empty": np.zeros((0, 3), "<f4"),
    }
    np.savez(OUT / "plain.npz", **arrays)
    np.savez_compressed(OUT / "packed.npz", **arrays, zeros=np.zeros((256, 256), "<f4"))
    np.savez(OUT / "texts.npz", names=np.array(["a.jpg", "b/ä€😀.jpg", ""]), numbers=np.arange(3, dtype="<f4"))
    np.savez(OUT / "object.npz", fine=np.zeros(1), things=np.array([{"a": 1}, None], dtype=object))
    np.savez(OUT / "int16.npz", short=np.zeros(2, "<i2"))
    np.save(OUT / "single.npy", r((2, 3), 0, "<f4"))
    np.save(OUT / "records.npy", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, r((2, 3), 0, "<f4"), version=(2, 0))
    (OUT / "version2.npy").write_bytes(buffer.getvalue())


if __name__ == "__main__":
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    torch_files()
    safetensors_files()
    numpy_files()
