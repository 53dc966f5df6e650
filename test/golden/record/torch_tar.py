# SPDX-License-Identifier: Apache-2.0
"""torch_tar.py — writes test/golden/weights/old.pth.tar, a checkpoint as torch before 0.1.10 wrote them, and checks it with torch.load.

No such torch runs any more, so the archive is put together as its torch.save() did: tar members sys_info, pickle, tensors and
storages, objects named by the digits of their addresses.
"""
import io
import pathlib
import pickle
import struct
import tarfile
import warnings

import torch

TARGET = pathlib.Path(__file__).resolve().parents[1] / "weights/old.pth.tar"


class Saved:
    """Stands for a tensor in the pickle; its persistent id is the tensor's key."""

    def __init__(self, key):
        self.key = key


def main():
    base = torch.arange(24, dtype=torch.float32) * 0.5
    storages = {"101": ("FloatStorage", base.numpy().tobytes(), 24),
                "102": ("LongStorage", torch.tensor([7]).numpy().tobytes(), 1),
                "103": ("ShortStorage", torch.tensor([1, 2], dtype=torch.int16).numpy().tobytes(), 2)}
    views = [("104", "101", 12, 12)]
    tensors = {"201": ("101", (4, 6), (6, 1), 0), "202": ("101", (6, 4), (1, 6), 0), "203": ("102", (1,), (1,), 0),
               "204": ("104", (2, 3), (3, 1), 3), "205": ("103", (2,), (1,), 0)}
    model = {"state_dict": {"base": Saved("201"), "transposed": Saved("202"), "steps": Saved("203"), "view": Saved("204"),
                            "short": Saved("205")}, "epoch": 3}

    def dump(value):
        out = io.BytesIO()
        pickler = pickle.Pickler(out, protocol=2)
        pickler.persistent_id = lambda o: o.key if isinstance(o, Saved) else None
        pickler.dump(value)
        return out.getvalue()

    members = {"sys_info": dump({"protocol_version": 1000, "little_endian": True}), "pickle": dump(model)}
    data = dump(len(storages))
    for key, (kind, content, count) in storages.items():
        data += dump((int(key), "cpu", getattr(torch, kind))) + struct.pack("<q", count) + content
    members["storages"] = data + dump([(int(a), int(b), c, d) for a, b, c, d in views])
    data = dump(len(tensors))
    for key, (storage, size, stride, offset) in tensors.items():
        data += dump((int(key), int(storage), torch.FloatTensor)) + struct.pack("<ii", len(size), 0)
        data += struct.pack(f"<{len(size)}q", *size) + struct.pack(f"<{len(size)}q", *stride) + struct.pack("<q", offset)
    members["tensors"] = data
    with tarfile.open(TARGET, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = torch.load(TARGET, weights_only=False)["state_dict"]
    assert torch.equal(loaded["base"], base.reshape(4, 6)) and torch.equal(loaded["transposed"], base.reshape(4, 6).T)
    assert torch.equal(loaded["view"], base[15:21].reshape(2, 3)) and loaded["steps"].tolist() == [7]
    assert loaded["short"].dtype == torch.int16


main()
