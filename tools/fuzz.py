# SPDX-License-Identifier: Apache-2.0
# tools/fuzz.py — runs the fuzzers of build/fuzz and keeps what they found in test/fuzz/corpus.
#
# fuzz.py BUILD [--seconds N] [--keep] [TARGETS…]
# fuzz.py --begin [TARGETS…]     only makes the corpora anew, of what each target begins with and damaged copies of it; needs NumPy
#
# Each target begins with its corpus, the recorded files that are of its kind, and what is crafted; runs for N seconds; and with --keep
# the files that reach the most of the code, the smallest first, become the corpus, as far as they fit. A finding lies in BUILD/findings.
import argparse
import gzip
import io
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
CORPUS, GOLDEN = ROOT / "test/fuzz/corpus", ROOT / "test/golden"
TARGETS = ["safetensors", "torch_zip", "torch_stream", "torch_tar", "pickle", "npy", "npz", "shard_index", "any_weights", "hub_config", "hub_names",
           "image_header", "image", "tar_index", "idx", "csv_images", "web_shard"]
CRAFTED = {"safetensors": ["safetensors"], "torch_zip": ["torch_zip"], "torch_stream": ["torch_stream"], "npy": ["npy"], "npz": ["npz"],
           "any_weights": ["safetensors", "torch_zip", "torch_stream", "npy", "npz"]}
ENDS = {"safetensors": [".safetensors"], "torch_zip": [".zip.pth", ".zip.pth.tar", ".pt"], "torch_stream": [".stream.pth", ".stream.pth.tar"],
        "torch_tar": ["old.pth.tar"], "pickle": [".pkl", ".stream.pth"], "npy": [".npy"], "npz": [".npz"], "any_weights": [""]}
TEXTS = {
    "shard_index": ['{"metadata": {"total_size": 72}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "x/y.safetensors"}}',
                    '{"weight_map": {}}', '{"weight_map": {"a": "../x"}}', '{"weight_map": {"a": 1}}', '{"weight_map": {"a": "b", "a": "c"}}', "{", "[]", "{}",
                    '{"weight_map": {"a": "C:x"}}', '{"weight_map": {"a": [[[[[[[[[1]]]]]]]]]}}'],
    "hub_config": ['{"architecture": "resnet18", "num_classes": 5, "global_pool": "avg", "model_args": {"img_size": [96, 128], "in_chans": 1, "act": true},'
                   '"pretrained_cfg": {"tag": "mine", "input_size": [3, 160, 160], "fixed_input_size": false, "interpolation": "bilinear", "crop_pct": 0.95,'
                   '"crop_mode": "squash", "mean": [0.5], "std": [0.25, 0.5, 1.0], "pool_size": [5, 5], "first_conv": ["a", "b"], "classifier": "fc"}}',
                   '{"architecture": "resnet18", "num_classes": 7, "mean": [0, 0, 0], "labels": ["a"]}', "{}", "[]", "{", '{"architecture": 3}', "null",
                   '{"architecture": "x", "pretrained_cfg": {"std": [0, 1, 1]}}', '{"architecture": "x", "model_args": {"a": [[1]]}}',
                   '{"architecture": "x", "num_classes": -1}'],
    "tar_index": ["end\n", "0 512 100 a/1.jpg\nend\n", "a 0 0 in.tar\n1 1024 7 x.png\n1 2048 9 y\\nz\\\\.png\n0 0 4096 all\nend\n", "1 0 0 x\nend\n",
                  "0 4096 1 beyond\nend\n", "0 18446744073709551615 1 x\nend\n", "0 1 18446744073709551615 x\nend\n", "0 1 2\nend\n", "0 512 100 cut",
                  "b 0 0 x\nend\n"],
    "csv_images": ["1.jpg,cat\n2.jpg,dog\n", "path,a,b\n1.png,0,1\n2.png,1,0.5\n", "\ufeffpath,b\r\n\"a,\"\"b\"\".jpg\",7\r\n", "1.jpg,3;5\n2.jpg,\n", "1.jpg,0;1;1\n2.jpg,1;0;0\n",
                   "1.jpg\n", "\"1.jpg,2\n", "1.jpg,9223372036854775807\n", "1.jpg,20000000\n", "a,b\n", "1.jpg,1\n\n2.jpg,x;y\n", "path,a,b\n1.jpg,1,x\n"],
    "hub_names": ["timm/resnet18.a1_in1k@main\nmodel.safetensors", "https://hub.example:443/a/b?c#d\n/x/../y", "http://me:pw@h\n//other/x", "a/b@refs/pr/1\nsub/x.bin",
                  "https://h\\@evil/\n?x", "http://h/a\nhttps://other/", "gpt2\n..", "a--b/c\nCON", "http://[::1]:80/\nx", "HTTPS://H\n"],
}


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()[:-8192]  # most of the end is zeros


def web_shards():
    label = b'{"a": %s, "b": {"c": 1}}'
    yield archive([("0/x.jpg", b"one"), ("0/x.cls", b"3\n"), ("0/y.png", b"two"), ("0/y.cls", b"0")])
    for a in (b"2", b"[0, 1, 1]", b"[]", b"-1", b"true", b"9223372036854775807", b'"x"', b"[" * 100 + b"]" * 100):
        yield archive([("x.jpg", b"one"), ("x.json", label % a)])
    yield archive([("x.jpg", b"one"), ("x.json", label % b"2"), ("y.jpg", b""), ("y.json", label % b"[1]")])
    yield archive([("x.jpg", b"one"), ("x.JPG", b"two"), ("x.cls", b"1")])
    yield archive([("__about__/x.jpg", b""), ("noname", b""), (".jpg", b"")])
    yield archive([("x.jpg", b"one"), ("x.cls", b"99999999999")])
    yield from ((GOLDEN / "data" / name).read_bytes() for name in ("gnu.tar", "pax.tar"))


def idx_files():
    def array(sizes, values):
        return struct.pack(f">BBBB{len(sizes)}I", 0, 0, 8, len(sizes), *sizes) + values

    def pair(images, labels):
        return struct.pack("<H", len(images)) + images + labels

    images, labels = array([3, 2, 4], bytes(range(24))), array([3], b"\0\2\1")
    yield pair(images, labels)
    yield pair(gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0))
    yield pair(images, array([2], b"\0\1"))
    yield pair(labels, images)
    yield pair(array([3, 2, 4], b"cut"), labels)
    yield pair(array([1 << 16, 1 << 16, 1], b""), labels)
    yield pair(array([4294967295, 4294967295, 4294967295], b""), labels)
    yield pair(array([0, 2, 2], b""), array([0], b""))
    yield pair(array([1, 1, 200], bytes(200)), array([1], b"\xff"))


MADE = {"web_shard": web_shards, "idx": idx_files}


def packed_images(path):
    content = path.read_bytes()
    for i in range(struct.unpack_from("<I", content)[0]):
        at, size = struct.unpack_from("<II", content, 4 + 64 * i + 40)
        yield content[at:at + size]


def unpack(path):
    if not path.exists():
        return []
    content = zipfile.ZipFile(path).read("files")
    files, at = [], 4
    for _ in range(struct.unpack_from("<I", content)[0]):
        size = struct.unpack_from("<I", content, at)[0]
        files.append(content[at + 4:at + 4 + size])
        at += 4 + size
    return files


def pack(path, files):
    content = struct.pack("<I", len(files)) + b"".join(struct.pack("<I", len(f)) + f for f in files)
    with zipfile.ZipFile(path, "w") as z:
        z.writestr(zipfile.ZipInfo("files"), content, zipfile.ZIP_DEFLATED, 9)


def seeds(target):
    yield from unpack(CORPUS / f"{target}.zip")
    yield from (text.encode() for text in TEXTS.get(target, []))
    for end in ENDS.get(target, []):
        yield from (p.read_bytes() for p in sorted((GOLDEN / "weights").iterdir()) if p.name.endswith(end))
    if target.startswith("image"):
        for name in ("jpegs", "pngs", "webps", "gifs", "bmps", "tiffs"):
            yield from packed_images(GOLDEN / "data" / f"{name}.bin")
    if target in MADE:
        yield from MADE[target]()
    if target in CRAFTED:
        sys.path.insert(0, str(GOLDEN / "record"))
        try:
            import crafted_weights
        except ImportError:  # it needs NumPy
            return
        for kind in CRAFTED[target]:
            yield from crafted_weights.files(kind)


def write_seeds(target, folder):
    folder.mkdir(parents=True)
    for i, content in enumerate(seeds(target)):
        (folder / f"{i:05}").write_bytes(content)


def keep(program, target, folder, kept, most_bytes):
    """The files that together reach what all reach, as far as they fit; a smaller corpus is drawn anew, always in the same way."""
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    subprocess.run([program, "-merge=1", "-timeout=5", kept, folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    files = sorted((p.read_bytes() for p in kept.iterdir()), key=lambda f: (len(f), f))
    chosen, room = [], most_bytes
    small, rest = files[:200], files[200:]
    random.Random(target).shuffle(rest)
    for content in small + rest:
        cost = len(zlib.compress(content))
        if cost <= room:
            chosen.append(content)
            room -= cost
    CORPUS.mkdir(exist_ok=True)
    pack(CORPUS / f"{target}.zip", chosen)
    return len(chosen), len(files)


def damaged(dice, content):
    content = bytearray(content)
    for _ in range(dice.choice([1, 1, 2, 3]) if content else 0):
        at = dice.randrange(len(content))
        content[at] = dice.choice([0, 255, 128, content[at] ^ 1 << dice.randrange(8), dice.randrange(256)])
    return bytes(content[:dice.randrange(len(content) + 1)] if dice.random() < 0.2 else content)


def begin(target, most_bytes):
    """A corpus without a fuzzer: always the same one."""
    dice, known = random.Random(target), sorted(set(seeds(target)), key=lambda f: (len(f), f))
    files = sorted({*known, *(damaged(dice, dice.choice(known)) for _ in range(80))}, key=lambda f: (len(f), f))
    small, rest, chosen, room = files[:100], files[100:], [], most_bytes // 2
    dice.shuffle(rest)
    for content in small + rest:
        cost = len(zlib.compress(content))
        if cost <= room and len(content) <= 65536:
            chosen.append(content)
            room -= cost
    CORPUS.mkdir(exist_ok=True)
    pack(CORPUS / f"{target}.zip", chosen)
    print(f"{target}: {len(chosen)} of {len(files)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", default=".")
    parser.add_argument("--begin", action="store_true", help="corpora of what the targets begin with; nothing is run")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--keep", action="store_true", help="what was found becomes the corpus")
    parser.add_argument("--most-bytes", type=int, default=60_000, help="of a packed corpus")
    parser.add_argument("targets", nargs="*")
    options = parser.parse_args()
    if options.begin:
        for target in ([options.build] if options.build in TARGETS else []) + options.targets or TARGETS:
            begin(target, options.most_bytes)
        return 0
    build, failed = pathlib.Path(options.build).resolve(), []
    findings = build / "findings"
    findings.mkdir(exist_ok=True)
    for target in options.targets or TARGETS:
        program, folder = build / "test/fuzz" / f"fuzz_{target}", build / "corpus" / target
        if not folder.exists():
            write_seeds(target, folder)
        done = subprocess.run([program, folder, f"-max_total_time={options.seconds}", "-timeout=5", "-rss_limit_mb=2048", "-max_len=65536", "-print_final_stats=1",
                               f"-artifact_prefix={findings}/{target}-"], capture_output=True, text=True, errors="replace",
                              env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1", "UBSAN_OPTIONS": "print_stacktrace=1"})
        stats = {line.split()[0]: line.split()[1] for line in done.stderr.splitlines() if line.startswith("stat::")}
        print(f"{target}: {'clean' if done.returncode == 0 else 'FAILED'}, {stats.get('stat::number_of_executed_units:', '?')} runs in {options.seconds} s,"
              f" {len(list(folder.iterdir()))} files reach something new", flush=True)
        if done.returncode:
            (findings / f"{target}.log").write_text(done.stderr)
            print("\n".join(done.stderr.splitlines()[-25:]), flush=True)
            failed.append(target)
        elif options.keep:
            print("  kept %d of %d" % keep(program, target, folder, build / "kept", options.most_bytes), flush=True)
    return 1 if failed else 0


sys.exit(main())
