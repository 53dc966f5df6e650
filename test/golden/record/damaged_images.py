# SPDX-License-Identifier: Apache-2.0
"""damaged_images.py — makes PNGs and JPEGs that are damaged or unusual, and records what Pillow makes of them.

Writes test/golden/data/damaged.bin in the layout of images.py; where Pillow refuses a file, size and hash are zero.
`damaged_images.py --check` compares the pack with the Pillow that is installed.
"""
import random
import struct
import sys
import zlib

import numpy as np
from PIL import Image

from images import ADAM7, check, content, pack, packed_rows, save

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ANCILLARY = [b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tRNS", b"iCCP", b"zTXt", b"tEXt", b"iTXt", b"eXIf", b"bKGD"]
OTHERS = [b"acTL", b"fcTL", b"fdAT", b"ABCD", b"abCD", b"Ab_9", b"PLTE", b"DDAT", b"a-cd", b"IHDR"]


def chunk(name, body, wrong=0):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body) ^ wrong)


def png(chunks):
    return SIGNATURE + b"".join(chunk(*c) for c in chunks)


def header(width, height, depth, colour, interlaced=0):
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)


def base(generator, index):
    """(name, chunks, rows) of a small sound PNG; kinds take turns."""
    colour, depth = [(0, 8), (2, 8), (3, 8), (6, 8), (3, 4), (0, 1), (0, 16), (4, 8)][index % 8]
    width, height = int(generator.integers(3, 14)), int(generator.integers(3, 14))
    samples = generator.integers(0, 1 << depth, (height, width, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]))
    interlaced = index % 3 == 2
    rows = packed_rows(samples, depth)
    if interlaced:
        rows = [r for x, y, dx, dy in ADAM7 if samples[y::dy, x::dx].size for r in packed_rows(samples[y::dy, x::dx], depth)]
    rows = [b"\0" + r for r in rows]
    palette = [(b"PLTE", generator.integers(0, 256, 3 << depth, dtype=np.uint8).tobytes())] if colour == 3 else []
    chunks = [header(width, height, depth, colour, int(interlaced)), *palette,
              (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    return f"{index}-type{colour}-{depth}{'-i' if interlaced else ''}", chunks, rows


def by_hand(generator):
    """What tools and cut-off downloads leave behind, each with a name."""
    for index in range(8):
        name, chunks, rows = base(generator, index)
        at = next(i for i, c in enumerate(chunks) if c[0] == b"IDAT")
        packed = chunks[at][1]
        before, after = chunks[:at], chunks[at + 1:]
        with_pixels = lambda *pieces: png([*before, *((b"IDAT", p) for p in pieces), *after])
        yield f"{name} wrong IDAT sum", png([*before, (b"IDAT", packed, 1), *after])
        yield f"{name} no palette", png([c for c in chunks if c[0] != b"PLTE"])
        yield f"{name} too few rows", with_pixels(zlib.compress(b"".join(rows[:len(rows) // 2])))
        yield f"{name} too few, in pieces", with_pixels(*(bytes([b]) for b in zlib.compress(b"".join(rows[:-1]))))
        yield f"{name} half a row", with_pixels(zlib.compress(b"".join(rows)[:-1]))
        yield f"{name} too many rows", with_pixels(zlib.compress(b"".join(rows) + bytes(99)))
        yield f"{name} unknown critical", png([*before, (b"ABCD", b"what"), *chunks[at:]])
        yield f"{name} unknown, wrong sum", png([*before, (b"abCD", b"what", 1), *chunks[at:]])
        yield f"{name} unknown behind", png([*chunks[:-1], (b"ABCD", b"what", 1)])
        yield f"{name} no IEND", png(chunks[:-1])
        yield f"{name} cut in the last sum", png(chunks[:-1])[:-2]
        yield f"{name} cut pixels", png(chunks[:-1])[:-7]
        yield f"{name} wrong adler", with_pixels(packed[:-1] + bytes([packed[-1] ^ 1]))
        yield f"{name} filter 5", with_pixels(zlib.compress(b"\5" + b"".join(rows)[1:]))
        yield f"{name} pieces", with_pixels(b"", packed[:5], b"", packed[5:])
        yield f"{name} pixels first", png([(b"IDAT", packed), *chunks])
        width, height = struct.unpack(">II", chunks[0][1][:8])
        frame = struct.pack(">IIIIIHHBB", 0, width - 1, height - 1, 1, 1, 1, 1, 0, 0)
        yield f"{name} frame within", png([*before, (b"acTL", struct.pack(">II", 2, 0)), (b"fcTL", frame), *chunks[at:]])


def changed(rng, chunks, rows):
    """One to three changes at random, with sound checksums."""
    chunks = [list(c) for c in chunks]
    for _ in range(rng.randint(1, 3)):
        i, what = rng.randrange(len(chunks)), rng.randrange(7)
        if what == 0 and len(chunks) > 2:
            del chunks[i]
        elif what == 1:
            chunks.insert(i, list(rng.choice(chunks)))
        elif what == 2:
            body = bytes(rng.choice([0, 0, 1, 255, rng.randrange(256)]) for _ in range(rng.choice([0, 1, 4, 6, 9, 13, 26, 32])))
            chunks.insert(i, [rng.choice(ANCILLARY + OTHERS), body])
        elif what == 3:
            chunks[i][1] = chunks[i][1][:rng.randrange(len(chunks[i][1]) + 1)]
        elif what == 4 and chunks[i][1]:
            body = bytearray(chunks[i][1])
            body[rng.randrange(len(body))] = rng.randrange(256)
            chunks[i][1] = bytes(body)
        elif what == 5:
            raw = b"".join(rows)
            raw = rng.choice([raw[:rng.randrange(len(raw))], raw + bytes(9), bytes(rng.randrange(5) for _ in raw)])
            for c in chunks:
                if c[0] == b"IDAT":
                    c[1] = zlib.compress(raw, rng.randrange(10))
        elif what == 6:
            chunks.append([rng.choice([b"tEXt", b"pHYs", b"IDAT", b"ABCD"]), bytes(rng.randrange(12))])
    return [tuple(c) for c in chunks]


def jpegs(rng, generator):
    for i in range(60):
        array = content(rng, 24, 24, "smooth", [])
        data = bytearray(save(Image.fromarray(array), format="JPEG", quality=40, progressive=i % 4 == 3,
                              subsampling=["4:4:4", "4:2:0"][i % 2], restart_marker_blocks=i % 3))
        start = data.index(b"\xff\xda")
        if i % 5 == 0:
            data = data[:len(data) - rng.choice([1, 2, 3, 4, 20])] + rng.choice([b"", bytes(40)])
        elif i % 5 == 1:                              # behind the pixels, where only finishing looks
            data[-2:] = rng.choice([b"\xff\x2a\0\2\xff\xd9", b"\xff\xd8\xff\xd9", b"\0\0\xff\xd9", b"\xff\x01\xff\xd9"])
        elif i % 5 == 2:
            data[2:2] = rng.choice([b"\xff\xff\xff", b"\0\0", b"\xff\x02\0\2", b"\xff\x01\0\2", b"\xff\xf0", b"\xff\xfe\0\5abc"])
        else:
            for _ in range(rng.randint(1, 3)):
                data[rng.randrange(2, start if i % 5 == 3 else len(data))] ^= 1 << rng.randrange(8)
        yield f"jpeg {i}", bytes(data)


def files():
    rng, generator = random.Random(20261129), np.random.default_rng(20261129)
    all = list(by_hand(generator))
    for index in range(160):
        name, chunks, rows = base(generator, index)
        data = png(changed(rng, chunks, rows))
        all.append((f"{name} changed", data if rng.random() < 0.8 else data[:-rng.randint(1, 30)]))
    return all + list(jpegs(rng, generator))


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(check("damaged.bin") > 0)
    pack("damaged.bin", files())
