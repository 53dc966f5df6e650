# SPDX-License-Identifier: Apache-2.0
"""test/golden/record/hostile_weights.py — damaged and crafted weight files, and what Python's own readers make of each.

For test/weights_tools/hostile.cpp. A pack a format: test/golden/hostile/<format>.zip, with one file in it. A file of a pack is a
recorded file (test/golden/weights) with changes, or, when it is crafted, changes of nothing. Numbers are little-endian:

    u32 number of reasons, each u16 length and text
    u32 number of files, each: u8 length and name of the recorded file, u8 number of changes, each u32 place, u32 removed bytes,
    u32 length and new bytes; u8 answer (0: refused, 1: read); u16 reason (of a refusal) or 8 bytes (what was read: see digest())
"""
import argparse
import hashlib
import io
import pathlib
import random
import re
import struct
import sys
import warnings
import zipfile

import numpy as np
import safetensors
import torch

import crafted_weights

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).resolve()
WEIGHTS, OUT = HERE.parents[1] / "weights", HERE.parents[1] / "hostile"
MUTATED = {"safetensors": 10_000}  # 2,000 of the others
TORCH_DTYPES = {torch.float32: "f32", torch.float64: "f64", torch.float16: "f16", torch.bfloat16: "bf16", torch.int64: "i64",
                torch.int32: "i32", torch.int8: "i8", torch.uint8: "u8", torch.bool: "bool"}
SAFE_DTYPES = {"F32": "f32", "F64": "f64", "F16": "f16", "BF16": "bf16", "I64": "i64", "I32": "i32", "I8": "i8", "U8": "u8", "BOOL": "bool"}
NUMPY_DTYPES = {"f4": "f32", "f8": "f64", "f2": "f16", "i8": "i64", "i4": "i32", "i1": "i8", "u1": "u8", "b1": "bool"}


def digest(rows):
    """Of (name, dtype, shape, bytes) of each tensor; None instead of the dtype where fovea has no such tensors."""
    h = hashlib.sha256()
    for name, dtype, shape, data in sorted(rows, key=lambda r: r[0]):
        h.update(name if isinstance(name, bytes) else name.encode("utf-8", "surrogatepass"))
        h.update(b"\0?" if dtype is None or len(shape) > 8 else f"\0{dtype}[{', '.join(map(str, shape))}]".encode() + data)
    return h.digest()[:8]


# ---- Python's readers --------------------------------------------------------------------------------------------------------


def read_safetensors(content):
    rows = []
    for name, t in safetensors.deserialize(content):
        empty_and_vast = 0 in t["shape"] and any(s >= 1 << 60 for s in t["shape"])
        rows.append((name, None if empty_and_vast else SAFE_DTYPES.get(t["dtype"]), t["shape"], bytes(t["data"])))
    return rows


def chosen(value):
    for key in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(value, dict) and key in value and not (key.endswith("_ema") and value[key] is None):
            value = value[key]
            break
    if not isinstance(value, dict):
        raise TypeError("no dict of tensors")
    rows = []
    for name, t in value.items():
        if isinstance(name, str) and isinstance(t, torch.Tensor):
            plain = t.layout == torch.strided and not t.is_quantized and t.device.type == "cpu" and not t.is_conj() and not t.is_neg()
            dtype = TORCH_DTYPES.get(t.dtype) if plain else None
            data = t.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes() if dtype and t.numel() else b""
            rows.append((name, dtype, list(t.shape), data))
    if not rows:
        raise TypeError("no tensors by name")
    return rows


def read_torch(content):
    with torch.serialization.safe_globals([argparse.Namespace]):
        return chosen(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def row_of_array(name, a):
    a = np.asarray(a)
    dtype = None if a.dtype.kind == "V" or a.dtype.fields else NUMPY_DTYPES.get(a.dtype.str[1:])
    return name, dtype, a.shape, a.astype(a.dtype.newbyteorder("<")).tobytes() if dtype else b""


def numpy_rows(name, stream):
    try:
        array = np.lib.format.read_array(stream, allow_pickle=False)
    except ValueError as e:
        if "Object arrays" in str(e):  # fovea lists such arrays, too, and refuses their values
            return [(name, None, (), b"")]
        raise
    texts = array.dtype.kind == "U" and array.ndim == 1  # which are no tensors
    return [] if texts else [row_of_array(name, array)]


def read_npy(content):
    return numpy_rows("x", io.BytesIO(content))


def read_npz(content):
    rows = []
    with zipfile.ZipFile(io.BytesIO(content)) as z:
        for info in z.infolist():
            if not info.filename.endswith(".npy"):
                raise ValueError("no array")
            rows += numpy_rows(info.filename.removesuffix(".npy"), io.BytesIO(z.read(info)))
    return rows


FORMATS = {  # reader, recorded files
    "safetensors": (read_safetensors, ["plain.safetensors", "int16.safetensors"]),
    "torch_zip": (read_torch, ["plain.zip.pth", "strided.zip.pth", "training.zip.pth.tar", "protocol4.zip.pth", "beside2.zip.pth"]),
    "torch_stream": (read_torch, ["plain.stream.pth", "strided.stream.pth", "training.stream.pth.tar", "beside2.stream.pth"]),
    "npy": (read_npy, ["single.npy", "version2.npy"]),
    "npz": (read_npz, ["plain.npz", "packed.npz", "int16.npz"]),
}


# ---- damage ------------------------------------------------------------------------------------------------------------------


def structure(name, content):
    """Where a change is more likely to matter than among numbers."""
    if name.endswith(".safetensors"):
        return [(0, 8 + int.from_bytes(content[:8], "little"))]
    if name.endswith(".npy"):
        return [(0, 128)]
    if content[:2] == b"PK":
        parts = [(content.rfind(b"PK\5\6"), len(content)), (content.find(b"PK\1\2"), content.rfind(b"PK\5\6"))]
        parts += [(m.start(), m.start() + 60) for m in re.finditer(b"PK\3\4", content)]
        pickled = content.find(b"data.pkl")
        return parts + [(pickled, pickled + 1500)] * 4 if pickled >= 0 else parts
    return [(0, max(content.rfind(b"."), 100))]


VALUES = [0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 62), (1 << 63) - 1, (1 << 64) - 1]


def digits_of(dice, content, start, stop):
    """A number written in digits becomes another."""
    found = list(re.finditer(rb"\d+", content[start:stop]))
    if not found:
        return None
    m = dice.choice(found)
    value = int(m[0])
    new = dice.choice([value + 1, max(value - 1, 0), value * 2, value + 4, value // 2, 0, 1, 8, dice.randrange(64), 2**31, 2**32, 2**63, 2**64 - 1, 2**64])
    return start + m.start(), len(m[0]), str(new).encode()


def change(dice, name, content):
    if not content:
        return 0, 0, dice.randbytes(8)
    start, stop = dice.choice(structure(name, content)) if dice.random() < 0.75 else (0, len(content))
    stop = min(stop, len(content))
    start = max(min(start, stop - 1), 0)
    at = dice.randrange(start, max(stop, start + 1))
    kind = dice.randrange(9)
    if kind <= 1:
        return at, 1, bytes([content[at] ^ 1 << dice.randrange(8)])
    if kind == 2:
        return at, 1, bytes([dice.randrange(256)])
    if kind == 3:
        size = dice.choice([2, 4, 8])
        size = min(size, len(content) - at)
        return at, size, (dice.choice(VALUES) & (1 << 8 * size) - 1).to_bytes(size, "little")
    if kind == 4:
        return at, min(dice.randrange(1, 17), len(content) - at), b""
    if kind == 5:
        return at, 0, dice.randbytes(dice.randrange(1, 9))
    if kind == 6:
        source = dice.randrange(len(content))
        return at, 0, content[source:source + dice.randrange(1, 40)]
    if kind == 7:
        return (at, len(content) - at, b"") if dice.random() < 0.3 else (len(content), 0, dice.randbytes(dice.randrange(1, 20)))
    return digits_of(dice, content, start, stop) or (at, 1, b"0")


def apply(content, changes):
    for at, removed, new in changes:
        content = content[:at] + new + content[at + removed:]
    return content


def mutated(kind, dice):
    names = FORMATS[kind][1]
    for _ in range(MUTATED.get(kind, 2000)):
        name = dice.choice(names)
        content, changes = (WEIGHTS / name).read_bytes(), []
        for _ in range(dice.choice([1, 1, 1, 2, 3])):
            one = change(dice, name, content)
            changes.append(one)
            content = apply(content, [one])
        yield name, changes, content


def answer_of(read, content):
    try:
        return digest(read(content)), ""
    except BaseException as e:  # pyo3's panics are no Exceptions
        if isinstance(e, (KeyboardInterrupt, SystemExit)):
            raise
        text = re.sub(r"\s+", " ", str(e).split("WeightsUnpickler error:")[-1])[:100]
        return None, f"{type(e).__name__}: " + re.sub(r"0x[0-9a-f]+|\d+|'[^']*'|\"[^\"]*\"", "#", text)


def record(kind):
    read, dice = FORMATS[kind][0], random.Random(kind)
    files = [*mutated(kind, dice), *(("", [(0, 0, c)], c) for c in crafted_weights.files(kind))]
    reasons, rows = {}, []
    for name, changes, content in files:
        found, why = answer_of(read, content)
        row = struct.pack("<B", len(name)) + name.encode() + struct.pack("<B", len(changes))
        for at, removed, new in changes:
            row += struct.pack("<III", at, removed, len(new)) + new
        row += b"\1" + found if found else b"\0" + struct.pack("<H", reasons.setdefault(why, len(reasons)))
        rows.append(row)
    pack = struct.pack("<I", len(reasons)) + b"".join(struct.pack("<H", len(r.encode())) + r.encode() for r in reasons)
    pack += struct.pack("<I", len(rows)) + b"".join(rows)
    OUT.mkdir(exist_ok=True)
    with zipfile.ZipFile(OUT / f"{kind}.zip", "w") as z:
        z.writestr(zipfile.ZipInfo("files"), pack, zipfile.ZIP_DEFLATED, 9)
    read_well = sum(1 for r in rows if r[1 + r[0]:] and answer_kind(r))
    print(f"{kind}: {len(rows)} files, {read_well} of them read, {len(reasons)} reasons of refusals")


def answer_kind(row):
    at = 1 + row[0]
    count, at = row[at], at + 1
    for _ in range(count):
        at += 12 + struct.unpack_from("<I", row, at + 8)[0]
    return row[at] == 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    for kind in sys.argv[1:] or FORMATS:
        record(kind)
