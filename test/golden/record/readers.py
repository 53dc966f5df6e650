# SPDX-License-Identifier: Apache-2.0
"""readers.py — records which classes, samples and splits timm's readers find.

Writes test/golden/data/readers.json: for each case the files there are, and what timm makes of them; and
test/golden/data/{gnu,pax}.tar, which Python wrote, with the places of their members in the JSON. Needs timm,
torchvision, numpy and Pillow, and webdataset for shards: without it what was recorded of them stays.
"""
import hashlib
import io
import json
import pathlib
import pickle
import tarfile
import tempfile

import numpy as np
from PIL import Image
from timm.data import create_dataset
from timm.data.dataset_factory import _search_split
from timm.data.readers.class_map import load_class_map
from timm.data.readers.reader_image_folder import ReaderImageFolder
from timm.data.readers.reader_image_in_tar import ReaderImageInTar

TARGET = pathlib.Path(__file__).resolve().parents[1] / "data"

FOLDERS = {
    "natural": ["class10/b.jpg", "class10/a.JPG", "Class2/img_10.png", "Class2/img_2.png", "class1/x.jpeg",
                "class02b/x1y.jpg", "class3b/x01z.jpg", "class3b/notes.txt", "class1/pic.gif", "a b/1.jpg", "a-b/1.jpg",
                "1/0.jpg", "01x/0.jpg", "_/0.jpg", "Zeta/0.jpg", "éclair/0.jpg"],
    "nested": ["train/cats/tabby/1.jpg", "train/cats/2.jpg", "train/dogs/3.jpg", "deep/er/still/4.png", "5.jpg"],
    "wnids": [f"n{n:08d}/n{n:08d}_{i}.JPEG" for n in (1440764, 15075141, 2123045, 2123159) for i in (1, 10, 9, 100)],
}
MAPS = {
    "order.txt": (b"dogs\ntabby\n\n  cats  \n", "nested"),
    "some.txt": (b"n02123159\nn01440764\n", "wnids"),
    "spaces.txt": (b"a b\nclass 1\nZeta\nclass 2\n", "natural"),
    "merged.pkl": (pickle.dumps({"cats": 1, "tabby": 1, "dogs": 0}, protocol=2), "nested"),
    "newest.pkl": (pickle.dumps({"n02123159": 5, "n01440764": 0}), "wnids"),
}
SPLITS = {
    "both": ["train", "val"], "long": ["training", "validation"], "eval": ["evaluation", "train"],
    "none": ["other"], "test": ["test", "valid", "eval"],
}
ASKED = ["train", "training", "val", "valid", "validation", "eval", "evaluation", "test", "train[:50]", "other", "nope"]
TARS = {
    "single.tar": {"single.tar": ["c10/2.jpg", "c10/10.jpg", "c2/1.png", "x/y/c2/0.jpg", "top.jpg", "c2/skip.txt"]},
    "classes": {"n2.tar": ["n2_10.jpg", "n2_9.jpg"], "n10.tar": ["n10_1.jpg"], "N1.tar": ["sub/n1_5.jpg", "n1_7.jpg"]},
    "nested.tar": {"nested.tar": [["cats.tar", ["c2.jpg", "c10.jpg"]], ["in/dogs.tar", ["d1.jpg", "pups/d0.jpg"]],
                                  "loose/z.jpg"]},
    "parts": {"part2.tar": [["a1.tar", ["i3.jpg"]], ["a10.tar", ["i1.jpg"]]], "part1.tar": [["a2.tar", ["i2.jpg"]]]},
}
SHARDS = {
    "s-000.tar": [["b/x.jpg", "J0"], ["b/x.cls", "3"], ["a.JPG", "J1"], ["a.CLS", " 1\n"], ["__meta__", "no"],
                  ["q.txt", "no image"], ["q.cls", "7"]],
    "s-001.tar": [["10.cls", "0"], ["10.json", '{"n": 4}'], ["10.png", "J2"], ["9.webp", "J3"], ["9.jpg", "J4"],
                  ["9.cls", "2"]],
    "s-010.tar": [["z.part.jpg", "?"], ["y.jpg", "J5"], ["y.cls", "5"]],
}
PATTERNS = ["s-{000..001}.tar", "s-{001,000}.tar", "s-0{0{0,1},10}.tar|7", "s-000.tar::s-010.tar", "{a..c}{1..3..2}",
            "x{08..11}", "{plain}", "a{b,c{d,e}}f", "{3..1}", "no"]


def picture(text="?"):
    out = io.BytesIO()
    value = sum(map(ord, text)) % 256
    Image.new("RGB", (4, 4), (value, 255 - value, 9)).save(out, "PNG")
    return out.getvalue()


def write(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(reader, root, names):
    classes = getattr(reader, "class_to_idx", None) or reader.class_name_to_idx
    return {"classes": classes, "samples": names}


def record_folders(root):
    out = []
    for name, files in FOLDERS.items():
        write(root / name, files)
        for map_name in [""] + [m for m, (_, of) in MAPS.items() if of == name]:
            if map_name:
                (root / map_name).write_bytes(MAPS[map_name][0])
            reader = ReaderImageFolder(str(root / name), class_map=str(root / map_name) if map_name else "")
            samples = [[str(pathlib.Path(p).relative_to(root / name)), int(t)] for p, t in reader.samples]
            out.append({"name": name, "files": files, "map": map_name,
                        "map_bytes": MAPS[map_name][0].hex() if map_name else "", **found(reader, root, samples)})
    return out


def record_splits(root):
    out = []
    for name, folders in SPLITS.items():
        for folder in folders:
            (root / name / folder).mkdir(parents=True)
        out += [{"folders": folders, "split": split,
                 "found": str(pathlib.Path(_search_split(str(root / name), split)).relative_to(root / name))}
                for split in ASKED]
    return out


def tar_bytes(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for member in members:
            name, data = (member, b"x" + member.encode()) if isinstance(member, str) else \
                (member[0], tar_bytes(member[1]) if isinstance(member[1], list) else
                 picture(member[1]) if member[1].startswith("J") else member[1].encode())
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def record_tars(root):
    out = []
    for name, tars in TARS.items():
        folder = root if name.endswith(".tar") else root / name
        folder.mkdir(exist_ok=True)
        for tar, members in tars.items():
            (folder / tar).write_bytes(tar_bytes(members))
        reader = ReaderImageInTar(str(root / name))
        samples = [[s[0].path, s[2].path if s[2] is not None else "", int(t)]
                   for s, t in zip(reader.samples, reader.targets)]
        out.append({"root": name, "tars": tars, **found(reader, root, samples)})
    return out


def record_members():
    names = ["short.jpg", "a/" + "long" * 40 + ".jpg", "ünï/ç.jpg", "empty.bin", "dir/x" * 20 + ".png"]
    out = {}
    for format_name, tar_format in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
        path = TARGET / f"{format_name}.tar"
        with tarfile.open(path, "w", format=tar_format) as tar:
            for i, name in enumerate(names):
                info = tarfile.TarInfo(name)
                info.size = 0 if name == "empty.bin" else 700 * i + 1
                tar.addfile(info, io.BytesIO(bytes([i]) * info.size))
            link = tarfile.TarInfo("link.jpg")
            link.type, link.linkname = tarfile.SYMTYPE, "short.jpg"
            tar.addfile(link)
        with tarfile.open(path) as tar:
            out[format_name] = [[m.name, m.offset_data, m.size] for m in tar if m.isfile()]
    return out


def record_shards(root):
    try:
        from timm.data.readers.reader_wds import ReaderWds, expand_urls
        if expand_urls is None:
            raise ImportError
    except ImportError:
        return None
    for name, members in SHARDS.items():
        (root / name).write_bytes(tar_bytes(members))
    read = []
    for split in PATTERNS[:4]:
        reader = ReaderWds(str(root), split=split, is_training=False)
        read.append({"split": split, "labels": [int(t) for _, t in reader],
                     "pixels": [list(image.getpixel((0, 0))) for image, _ in reader]})
    pictures = {text: picture(text).hex() for shard in SHARDS.values() for _, text in shard if text.startswith("J")}
    return {"shards": SHARDS, "pictures": pictures, "read": read, "expanded": {p: expand_urls(p.split("|")[0])
                                                                               for p in PATTERNS}}


def idx(sizes, values):
    return bytes([0, 0, 8, len(sizes)]) + b"".join(n.to_bytes(4, "big") for n in sizes) + values


def record_idx(root):
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    count = {"train": 23, "t10k": 11}
    for name, n in count.items():
        pixels = np.arange(n * 28 * 28, dtype=np.uint32) * 2654435761 >> 24
        (raw / f"{name}-images-idx3-ubyte").write_bytes(idx([n, 28, 28], pixels.astype(np.uint8).tobytes()))
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(idx([n], bytes(i * 7 % 10 for i in range(n))))
    out = []
    for split in ["train", "validation", "test"]:
        data = create_dataset("torch/fashion_mnist", str(root), split=split)
        pixels = b"".join(np.asarray(image).tobytes() for image, _ in data)
        out.append({"split": split, "labels": [int(t) for _, t in data], "classes": data.classes,
                    "sha256": hashlib.sha256(pixels).hexdigest()})
    return out


def main():
    target = TARGET / "readers.json"
    known = json.loads(target.read_text()) if target.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        parts = {}
        for part in ("folders", "splits", "tars", "shards", "idx"):
            folder = pathlib.Path(scratch) / part
            folder.mkdir()
            parts[part] = globals()["record_" + part](folder)
    parts["shards"] = parts["shards"] or known.get("shards")
    parts["members"] = record_members()
    target.write_text(json.dumps(parts, indent=0, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
