# SPDX-License-Identifier: Apache-2.0
"""more_formats.py — makes small GIF, BMP and TIFF files and records what Pillow decodes them to.

Writes test/golden/data/{gifs,bmps,tiffs}.bin in the layout of images.py. Needs Pillow and numpy.
`more_formats.py --check` compares the packs with the Pillow that is installed.
"""
import struct
import sys
import zlib

import numpy as np
from PIL import Image

from images import check, pack, save

GENERATOR = np.random.default_rng(20261129)
RAMP = bytes(v for i in range(16) for v in (i, i, i))


def noise(count):
    return GENERATOR.integers(0, 256, count, dtype=np.uint8).tobytes()


def photo(width, height):
    y, x, c = np.indices((height, width, 3))
    array = (x * 9 + y * 3 + c * 40) % 256
    patch = array[height // 3:height // 2, width // 3:width // 2]
    patch[:] = GENERATOR.integers(0, 256, patch.shape)
    return Image.fromarray(array.astype(np.uint8))


# --- GIF -----------------------------------------------------------------------------------------------------------------

def codes(indices):
    """The pixels as codes of nine bits that are never packed: a clear code comes before the table grows."""
    value = count = 0
    out = bytearray()
    for i, index in enumerate([*indices, 257]):
        for code in ([256] if i % 100 == 0 else []) + [index]:
            value, count = value | code << count, count + 9
            while count >= 8:
                out.append(value & 255)
                value, count = value >> 8, count - 8
    return bytes(out) + bytes([value & 255])


def colours(palette):
    bits = 1
    while 3 << bits < len(palette):
        bits += 1
    return bits, palette.ljust(3 << bits, b"\0")


def gif(screen, frame, palette=None, local=None, transparent=None, interlaced=False, most=16):
    x, y, width, height = frame
    bits, table = colours(palette) if palette else (1, b"")
    out = b"GIF89a" + struct.pack("<HH", *screen) + bytes([(128 | bits - 1) if palette else 0, 0, 0]) + table
    if transparent is not None:
        out += b"!\xf9\4" + bytes([1, 0, 0, transparent]) + b"\0"
    bits, table = colours(local) if local else (1, b"")
    out += b"," + struct.pack("<HHHH", *frame) + bytes([((128 | bits - 1) if local else 0) | interlaced << 6]) + table + b"\x08"
    packed = codes([int(v) for v in GENERATOR.integers(0, most, width * height)])
    for i in range(0, len(packed), 255):
        out += bytes([len(packed[i:i + 255])]) + packed[i:i + 255]
    return out + b"\0;"


def gifs():
    palette, screen, frame = noise(48), (20, 15), (3, 2, 10, 8)
    for i, count in enumerate([2, 3, 4, 8, 16, 64, 256]):
        for interlaced in (False, True):
            image = photo(7 + 5 * i, 31 - 4 * i).quantize(count)
            options = {"transparency": i} if i % 3 == 1 else {}
            yield f"{count} colours{', interlaced' if interlaced else ''}", save(image, format="GIF", interlace=interlaced, **options)
    frames = [photo(30, 20).quantize(16) for _ in range(3)]
    yield "animation", save(frames[0], format="GIF", save_all=True, append_images=frames[1:], transparency=2, disposal=2)
    yield "grey", save(photo(20, 20).convert("L"), format="GIF")
    yield "a frame within", gif(screen, frame, palette)
    yield "a frame outside", gif((8, 8), frame, palette)
    yield "no screen", gif((0, 0), frame, palette)
    yield "transparent around", gif(screen, frame, palette, transparent=5)
    yield "transparent beyond the palette", gif(screen, frame, palette, transparent=200)
    yield "a palette of greys", gif(screen, frame, RAMP, transparent=7, most=24)
    yield "no palette", gif(screen, frame, most=24)
    yield "a palette of its own", gif(screen, frame, RAMP, local=palette, most=24)
    yield "greys of its own", gif(screen, frame, palette, local=RAMP, interlaced=True)
    whole = gif(screen, frame, palette)
    yield "no end mark", whole[:-1]
    yield "cut", whole[:-30]
    yield "87a", b"GIF87a" + whole[6:]


# --- BMP -----------------------------------------------------------------------------------------------------------------

def bmp(width, height, bits, compression=0, header=40, palette=b"", masks=(), count=0, down=False, offset=None, gap=b"", rows=None):
    masks = struct.pack(f"<{len(masks)}I", *masks)
    if header == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        lines = 2**32 - height if down else height
        head = struct.pack("<IIIHHIIIIII", header, width, lines, 1, bits, compression, 0, 2835, 2835, count, 0)
        head = (head + masks).ljust(header, b"\0") if header > 40 else head + masks
    head += palette
    start = 14 + len(head) + len(gap) if offset is None else offset
    rows = noise((width * bits + 31) // 32 * 4 * height) if rows is None else rows
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, start) + head + gap + rows


def bmps():
    for i, image in enumerate([photo(13, 7), photo(33, 12), photo(1, 9), photo(30, 1)]):
        for mode in ("RGB", "L", "1", "RGBA", "P"):
            yield f"{i} {mode}", save(image.quantize(20) if mode == "P" else image.convert(mode), format="BMP")
    greys = lambda n: b"".join(bytes([i, i, i, 0]) for i in range(n))
    for bits in (1, 4, 8):
        yield f"{bits} bits", bmp(13, 7, bits, palette=noise(4 << bits))
        yield f"{bits} bits, downwards", bmp(13, 7, bits, palette=noise(4 << bits), down=True)
        yield f"{bits} bits, OS/2", bmp(13, 7, bits, header=12, palette=noise(3 << bits))
        yield f"{bits} bits, OS/2 2", bmp(13, 7, bits, header=64, palette=noise(4 << bits))
        yield f"{bits} bits, pixels where the palette is", bmp(13, 7, bits, palette=noise(4 << bits), offset=54)
        yield f"{bits} bits, pixels anywhere", bmp(13, 7, bits, palette=noise(4 << bits), offset=0)
        yield f"{bits} bits, short palette", bmp(13, 7, bits, palette=noise(8), count=2)
    for bits in (16, 24, 32):
        for header in (12, 40, 124):
            yield f"{bits} bits, header {header}", bmp(13, 7, bits, header=header)
        yield f"{bits} bits, gap", bmp(13, 7, bits, gap=bytes(10))
        yield f"{bits} bits, cut", bmp(13, 7, bits)[:-9]
    layouts = {16: [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F), (0xF00, 0xF0, 0xF)], 24: [(0xFF0000, 0xFF00, 0xFF)],
               32: [(0xFF0000, 0xFF00, 0xFF), (0xFF000000, 0xFF0000, 0xFF00), (0xFF000000, 0xFF00, 0xFF), (0, 0, 0), (1, 2, 4)]}
    for bits, masks in layouts.items():
        for m in masks:
            for header in (40, 52, 108):
                yield f"{bits} bits, {m[0]:x} {m[1]:x}, {header}", bmp(13, 7, bits, 3, header, masks=m)
    for m in [(0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFF000000, 0xFF0000, 0xFF00, 0xFF)]:
        yield f"alpha {m[0]:x} {m[3]:x}", bmp(13, 7, 32, 3, 124, masks=m)
    yield "black and white in bytes", bmp(13, 7, 8, palette=b"\0\0\0\0\xff\xff\xff\0", count=2)
    yield "greys in half bytes", bmp(3, 7, 4, palette=greys(16))
    yield "greys in half bytes, wide", bmp(30, 7, 4, palette=greys(16))
    yield "greys", bmp(13, 7, 8, palette=greys(256))
    runs8 = bytes([3, 7, 6, 9, 0, 0, 0, 5, 1, 2, 3, 4, 5, 0, 4, 8, 0, 0, 0, 2, 3, 1, 2, 6, 0, 0, 9, 1, 0, 1])
    runs4 = bytes([5, 0x12, 4, 0x34, 0, 0, 0, 5, 0x12, 0x34, 0x50, 0, 4, 0x77, 0, 0, 9, 0xAB, 0, 1])
    yield "runs", bmp(9, 4, 8, 1, palette=noise(1024), rows=runs8)
    yield "runs, too few", bmp(9, 4, 8, 1, palette=noise(1024), rows=bytes([9, 7, 0, 0, 0, 1]))
    yield "runs, whole", bmp(9, 4, 8, 1, palette=noise(1024), rows=bytes([9, 7, 0, 0, 9, 3, 0, 0, 9, 2, 0, 0, 20, 1, 0, 1]))
    yield "runs of halves", bmp(9, 3, 4, 2, palette=noise(64), rows=runs4)
    yield "JPEG within", bmp(9, 4, 24, 4)


# --- TIFF ----------------------------------------------------------------------------------------------------------------

def tiff(chunks, bits, samples, photometric, big=False, size=(13, 9), extra=None, separate=False, kind=None, tile=None,
         fill=None, palette=None, compression=1):
    order, body, starts, tags = ">" if big else "<", b"", [], []
    for c in chunks:
        starts.append(8 + len(body))
        body += c
    body += bytes(len(body) % 2)
    for number, code, values in [(256, "I", size[:1]), (257, "I", size[1:]), (258, "H", [bits] * samples), (259, "H", [compression]),
                                 (262, "H", [photometric]), (266, "H", fill and [fill]), (277, "H", [samples]),
                                 (284, "H", [2 if separate else 1]), (320, "H", palette), (338, "H", extra),
                                 (339, "H", kind and [kind] * samples), (273 if not tile else 324, "I", starts),
                                 (278, "I", None if tile else size[1:]), (279 if not tile else 325, "I", [len(c) for c in chunks]),
                                 (322, "I", tile and tile[:1]), (323, "I", tile and tile[1:])]:
        if values is not None:
            tags.append((number, code, values))
    tags.sort()
    directory, at = struct.pack(order + "H", len(tags)), 8 + len(body)
    behind, end = b"", at + 2 + 12 * len(tags) + 4
    for number, code, values in tags:
        value = struct.pack(f"{order}{len(values)}{code}", *values)
        directory += struct.pack(order + "HHI", number, {"H": 3, "I": 4}[code], len(values))
        directory += value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(order + "I", end + len(behind))
        behind += (value + bytes(len(value) % 2)) if len(value) > 4 else b""
    return (b"MM\0*" if big else b"II*\0") + struct.pack(order + "I", at) + body + directory + bytes(4) + behind


KINDS = {  # name: bits, samples, photometric, what else
    "rgb": (8, 3, 2, {}), "rgb 16": (16, 3, 2, {}), "rgba": (8, 4, 2, {"extra": [2]}), "rgba 16": (16, 4, 2, {"extra": [2]}),
    "rgb, premultiplied": (8, 4, 2, {"extra": [1]}), "rgb 16, premultiplied": (16, 4, 2, {"extra": [1]}),
    "rgbx": (8, 4, 2, {"extra": [0]}), "four samples": (8, 4, 2, {}), "five samples": (8, 5, 2, {"extra": [0, 0]}),
    "five, premultiplied": (8, 5, 2, {"extra": [1, 0]}), "grey": (8, 1, 1, {}), "white is zero": (8, 1, 0, {}),
    "grey 16": (16, 1, 1, {}), "white is zero 16": (16, 1, 0, {}), "signed 16": (16, 1, 1, {"kind": 2}),
    "grey with alpha": (8, 2, 1, {"extra": [2]}), "grey and more": (8, 2, 1, {"extra": [0]}),
    "float": (32, 1, 1, {"kind": 3}), "float, white is zero": (32, 1, 0, {"kind": 3}), "integers 32": (32, 1, 1, {}),
    "cmyk": (8, 4, 5, {}), "cmyk and more": (8, 5, 5, {"extra": [0]}), "cmyk 16": (16, 4, 5, {}), "double": (64, 1, 1, {"kind": 3}),
}


def tiffs():
    image = photo(37, 23)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        for mode in ("1", "L", "P", "RGB", "CMYK", "LA"):
            data = save(image.quantize(40) if mode == "P" else image.convert(mode), format="TIFF", compression=compression)
            yield f"{mode} {compression}", data
        yield f"strips {compression}", save(image, format="TIFF", compression=compression, tiffinfo={278: 4})
    yield "group 4", save(image.convert("1"), format="TIFF", compression="group4")
    yield "group 3", save(image.convert("1"), format="TIFF", compression="group3")
    yield "two pages", save(image, format="TIFF", save_all=True, append_images=[image.rotate(180)])
    for turn in range(1, 9):
        yield f"orientation {turn}", save(image, format="TIFF", compression=["tiff_lzw", None][turn % 2], tiffinfo={274: turn})
    for big in (False, True):
        end = "big" if big else "little"
        for compression in (1, 8):
            packed = zlib.compress if compression == 8 else bytes
            how = f"{end} {compression}"
            options = {"big": big, "compression": compression}
            for name, (bits, samples, photometric, more) in KINDS.items():
                raw = noise(13 * 9 * samples * bits // 8)
                if bits == 32 and more:
                    raw = GENERATOR.normal(100, 150, 13 * 9).astype(">f4" if big else "<f4").tobytes()
                yield f"{name} {how}", tiff([packed(raw)], bits, samples, photometric, **more, **options)
            for bits in (1, 2, 4, 8):
                raw = lambda: packed(noise((13 * bits + 7) // 8 * 9))
                table = [int(v) for v in GENERATOR.integers(0, 65536, 3 << bits)]
                yield f"palette {bits} {how}", tiff([raw()], bits, 1, 3, palette=table, **options)
                for fill in (1, 2):
                    yield f"grey {bits} {how} fill {fill}", tiff([raw()], bits, 1, 1, fill=fill, **options)
                    if (bits, fill, compression) != (8, 2, 1):   # Pillow fails there
                        yield f"white {bits} {how} fill {fill}", tiff([raw()], bits, 1, 0, fill=fill, **options)
            yield f"planes {how}", tiff([packed(noise(117)) for _ in range(3)], 8, 3, 2, separate=True, **options)
            yield f"tiles {how}", tiff([packed(noise(768)) for _ in range(6)], 8, 3, 2, size=(37, 23), tile=(16, 16), **options)
            yield f"grey tiles {how}", tiff([packed(noise(256)) for _ in range(6)], 8, 1, 1, size=(37, 23), tile=(16, 16), **options)
            yield f"short {how}", tiff([packed(noise(100))], 8, 3, 2, **options)


if __name__ == "__main__":
    names = {"gifs.bin": gifs, "bmps.bin": bmps, "tiffs.bin": tiffs}
    if "--check" in sys.argv:
        sys.exit(sum(check(name) for name in names) > 0)
    for name, make in names.items():
        pack(name, list(make()))
