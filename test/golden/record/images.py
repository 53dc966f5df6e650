# SPDX-License-Identifier: Apache-2.0
"""images.py — makes small JPEG, PNG and WebP files and records what Pillow decodes them to.

Writes test/golden/data/{jpegs,pngs,webps}.bin: a count, an index of (name, offset, size, width, height, hash) and the
files. The hash is 64-bit FNV-1a of Image.open(f).convert("RGB").tobytes(). Needs Pillow and numpy, and cjpeg
(libjpeg-turbo) for what Pillow cannot write. `images.py --check` compares the packs with the Pillow that is installed.
"""
import io
import pathlib
import random
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from resize_transform import TARGET, fnv1a

PHOTOS = pathlib.Path(__file__).resolve().parents[3] / "docs" / "images"
ENTRY = struct.Struct("<40sIIIIQ")


def decoded(data):
    """(width, height, hash) of what Pillow makes of a file; zeros where it refuses."""
    try:
        image = Image.open(io.BytesIO(data)).convert("RGB")
    except Exception:
        return 0, 0, 0
    return *image.size, int(fnv1a(image.tobytes()), 16)


def pack(name, files):
    warnings.simplefilter("ignore")
    index, body = b"", b""
    start = 4 + ENTRY.size * len(files)
    for label, data in files:
        index += ENTRY.pack(label[:39].encode(), start + len(body), len(data), *decoded(data))
        body += data
    (TARGET / name).write_bytes(struct.pack("<I", len(files)) + index + body)
    print(name, len(files), "files", start + len(body), "bytes")


def check(name):
    warnings.simplefilter("ignore")
    data = (TARGET / name).read_bytes()
    differing = 0
    count, = struct.unpack_from("<I", data)
    for i in range(count):
        label, offset, size, *expected = ENTRY.unpack_from(data, 4 + i * ENTRY.size)
        if list(decoded(data[offset:offset + size])) != expected:
            differing += 1
            print("  differs:", label.rstrip(b"\0").decode())
    print(name, count, "files", differing, "differing")
    return differing


def content(rng, width, height, kind, photos):
    """RGB array: part of a photo, smooth slopes, or noise."""
    if kind == "photo":
        photo = photos[rng.randrange(len(photos))]
        x, y = rng.randrange(photo.width - width), rng.randrange(photo.height - height)
        return np.asarray(photo.crop((x, y, x + width, y + height)))
    y, x, c = np.indices((height, width, 3))
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    smooth = 127 + 127 * np.sin((x * a + y * b + c * 60) / 40)
    noise = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, smooth.shape)
    return (noise if kind == "noise" else smooth).astype(np.uint8)


def save(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def segments(data):
    """(marker, start, end) of each segment of a JPEG up to the scan."""
    i = 2
    while data[i + 1] != 0xDA:
        length = 2 + int.from_bytes(data[i + 2:i + 4], "big")
        yield data[i + 1], i, i + length
        i += length


def with_adobe(data, transform):
    """The same JPEG with another colour transform in its Adobe marker, or without one."""
    for marker, start, end in segments(data):
        if marker == 0xEE:
            if transform is None:
                return data[:start] + data[end:]
            return data[:end - 1] + bytes([transform]) + data[end:]
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    return data[:2] + adobe + data[2:]


def cjpeg(array, *options):
    ppm = b"P6 %d %d 255\n" % (array.shape[1], array.shape[0]) + array.tobytes()
    return subprocess.run(["cjpeg", *options], input=ppm, capture_output=True, check=True).stdout


def jpegs(count=200):
    rng = random.Random(20260803)
    photos = [Image.open(p).convert("RGB") for p in sorted(PHOTOS.iterdir())]
    files = []
    for i in range(count):
        width, height = (rng.choice([rng.randint(1, 17), rng.randint(1, 120), rng.randint(60, 120)]) for _ in range(2))
        kind = rng.choice(["photo", "photo", "smooth", "noise"])
        array = content(rng, width, height, kind, photos)
        quality = rng.choice([5, 20, 50, 75, 75, 90, 95, 100])
        image = Image.fromarray(array)
        sampling = rng.choice(["4:4:4", "4:2:2", "4:2:0"])
        options = dict(format="JPEG", quality=quality, progressive=rng.random() < 0.3, optimize=rng.random() < 0.2)
        if rng.random() < 0.15:
            options["restart_marker_blocks"] = rng.randint(1, 5)
        variant = rng.choice(["rgb"] * 8 + ["grey", "grey", "cmyk", "ycck", "cmyk-bare", "keep-rgb", "adobe-0", "cjpeg",
                              "cjpeg", "cjpeg"])
        mode = ""
        if variant in ("rgb", "adobe-0"):
            data = save(image, subsampling=sampling, **options)
            data, mode = (with_adobe(data, 0), sampling) if variant == "adobe-0" else (data, sampling)
        elif variant == "grey":
            data = save(image.convert("L"), **options)
        elif variant == "keep-rgb":
            data = save(image, keep_rgb=True, **options)
        elif variant == "cjpeg":
            mode = rng.choice(["1x2", "4x1", "2x2", "1x2,1x1,2x1", "arithmetic", "smooth"])
            flags = {"arithmetic": ["-arithmetic"], "smooth": ["-smooth", "20", "-restart", "1"]}
            data = cjpeg(array, "-quality", str(max(quality, 20)), *flags.get(mode, ["-sample", mode]))
        else:
            inks = np.dstack([255 - array, array[:, :, :1] // 3])
            data = save(Image.fromarray(inks, "CMYK"), **options)
            data = with_adobe(data, {"cmyk": 0, "ycck": 2, "cmyk-bare": None}[variant])
        files.append((f"{i}-{variant}-{mode}-q{quality}-{kind}-{'p' if options['progressive'] else 'b'}"[:39], data))
    return files


def png_bytes(width, height, depth, colour, rows, chunks=(), interlaced=False):
    """A PNG from packed rows; Pillow does not write every depth and colour type."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    body = b"".join(b"\0" + row for row in rows)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunk(*c) for c in chunks)
            + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b""))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def packed_rows(samples, depth):
    """Rows of (height, width, channels) samples as PNG packs them."""
    height = samples.shape[0]
    flat = samples.reshape(height, -1)
    if depth == 16:
        return [row.astype(">u2").tobytes() for row in flat]
    if depth == 8:
        return [row.astype(np.uint8).tobytes() for row in flat]
    bits = (flat[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
    return [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in bits]


def pngs(count=60):
    rng = random.Random(20260804)
    kinds = [(0, d) for d in (1, 2, 4, 8, 16)] + [(2, 8), (2, 16)] + [(3, d) for d in (1, 2, 4, 8)]
    kinds += [(4, 8), (4, 16), (6, 8), (6, 16)]
    files = []
    for i in range(count):
        colour, depth = kinds[i % len(kinds)]
        interlaced = rng.random() < 0.35
        width, height = rng.randint(1, 40), rng.randint(1, 40)
        channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        generator = np.random.default_rng(i)
        samples = generator.integers(0, 1 << depth, (height, width, channels))
        if colour == 0 and depth == 16:                   # both sides of Pillow's clipping at 255
            samples = np.where(samples & 1, samples, samples & 511)
        chunks, name = [], f"{i}-type{colour}-{depth}bit"
        if colour == 3:
            entries = (1 << depth) if rng.random() < 0.7 else max(1, (1 << depth) // 2)   # indices past a short palette
            chunks.append((b"PLTE", generator.integers(0, 256, entries * 3, dtype=np.uint8).tobytes()))
            if rng.random() < 0.5:
                chunks.append((b"tRNS", generator.integers(0, 256, entries, dtype=np.uint8).tobytes()))
        elif colour in (0, 2) and rng.random() < 0.4:
            chunks.append((b"tRNS", samples[0, 0].astype(">u2").tobytes()))
        if rng.random() < 0.4:
            chunks.insert(0, (b"gAMA", struct.pack(">I", 45455)))
        if interlaced:
            rows = []
            for x, y, dx, dy in ADAM7:
                part = samples[y::dy, x::dx]
                if part.size:
                    rows += packed_rows(part, depth)
        else:
            rows = packed_rows(samples, depth)
        files.append((name + ("-interlaced" if interlaced else ""),
                      png_bytes(width, height, depth, colour, rows, chunks, interlaced)))
    return files


def webps(count=20):
    rng = random.Random(20260805)
    photos = [Image.open(p).convert("RGB") for p in sorted(PHOTOS.iterdir())]
    files = []
    for i in range(count):
        width, height = rng.randint(1, 90), rng.randint(1, 90)
        array = content(rng, width, height, rng.choice(["photo", "smooth", "noise"]), photos)
        alpha = i % 3 == 0
        if alpha:
            array = np.dstack([array, content(rng, width, height, "smooth", photos)[:, :, :1]])
        image, lossless = Image.fromarray(array), i % 2 == 0
        options = dict(format="WEBP", lossless=lossless, quality=rng.choice([10, 60, 90]), exact=rng.random() < 0.5)
        if i >= count - 2:
            options.update(save_all=True, append_images=[image.rotate(180)], duration=50)
        files.append((f"{i}-{'lossless' if lossless else 'lossy'}{'-alpha' if alpha else ''}"
                      f"{'-animated' if i >= count - 2 else ''}", save(image, **options)))
    return files


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(sum(check(name) for name in ("jpegs.bin", "pngs.bin", "webps.bin")) > 0)
    pack("jpegs.bin", jpegs())
    pack("pngs.bin", pngs())
    pack("webps.bin", webps())
