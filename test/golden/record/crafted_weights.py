# SPDX-License-Identifier: Apache-2.0
"""test/golden/record/crafted_weights.py — weight files that are put together to mislead, for hostile_weights.py: at least 200 a format."""
import collections
import io
import itertools
import json
import pickle
import struct
import zipfile
import zlib

import numpy as np

# ---- safetensors -------------------------------------------------------------------------------------------------------------


def safe(header, data=b"", length=None):
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def record(dtype='"F32"', shape="[2]", offsets="[0,8]"):
    return f'{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}'


def safetensors_files():
    eight = bytes(range(8))
    for dtype, shape in itertools.product(
            ["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F4", "F6_E2M3", "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64",
             "I64", "U64", "f32", "F128", ""],
            ["[8]", "[4]", "[2]", "[1]", "[]", "[0]", "[2,2]"]):
        yield safe(f'{{"x":{record(json.dumps(dtype), shape)}}}', eight)
    for dtype in ["F32", "U8", "I64"]:
        for shape in ["[4294967296,4294967296]", "[9223372036854775807]", "[9223372036854775808]", "[18446744073709551615,2]",
                      "[0,9223372036854775807,9223372036854775807]", "[0,18446744073709551615]", "[0,4294967296]", "[4611686018427387904,4,0]",
                      "[1,1,1,1,1,1,1,1,1,1]"]:
            for offsets in ["[0,8]", "[0,0]"]:
                yield safe(f'{{"x":{record(json.dumps(dtype), shape, offsets)}}}', eight if offsets == "[0,8]" else b"")
    for offsets in ["[8,0]", "[1,9]", "[0,7]", "[0,9]", "[0]", "[0,8,8]", "[]", "[-1,7]", "[0.0,8]", "[0,8e0]", '["0",8]', "[null,8]", "0",
                    "[0,18446744073709551615]", "[18446744073709551608,18446744073709551616]", "[00,8]", "[0,+8]", "[0,8,]"]:
        yield safe(f'{{"x":{record(offsets=offsets)}}}', eight)
    for shape in ["[2.0]", "[-2]", "[-0]", "[2e0]", "[[2]]", "[null]", '["2"]', "2", "null", "{}", "[true]", "[1,2,]", "[02]"]:
        yield safe(f'{{"x":{record(shape=shape)}}}', eight)
    for dtype in ["null", "4", "[]", '["F32"]', '"F32\\u0000"', '"\\u004632"', "true"]:
        yield safe(f'{{"x":{record(dtype=dtype)}}}', eight)
    fine = f'"x":{record()}'
    for header in [f"{{{fine}}}   ", f"   {{{fine}}}", f"\n\t{{{fine}}}", f"{{{fine}}}\0", f"{{{fine}}}x", f"{{{fine}}}{{}}", f"[{fine}]", "", " ", "{",
                   "}", "null", "[]", "{}", "1", '""', f"{{{fine},}}", f"{{{fine},{fine}}}", f"{{{fine};}}", f"/**/{{{fine}}}", f"\ufeff{{{fine}}}",
                   f'{{"":{record()}}}', f'{{"\\u0078":{record()}}}', f'{{"x\\ud800":{record()}}}', f'{{"\\ud83d\\ude00":{record()}}}', f"{{'x':{record()}}}",
                   f'{{x:{record()}}}', f'{{"x" :\r\n{record()}}}', f'{{"x":{record()[:-1]},"dtype":"F32"}}}}', f'{{"x":{record()[:-1]},"more":1}}}}',
                   f'{{"x":{record()[:-1]},"more":[1,{{"a":null}}]}}}}', '{"x":{}}', '{"x":null}', '{"x":[]}', '{"x":{"dtype":"F32"}}',
                   '{"x":{"dtype":"F32","shape":[2]}}', '{"x":{"shape":[2],"data_offsets":[0,8]}}', f'{{"__metadata__":{{}},{fine}}}',
                   f'{{"__metadata__":{{"a":"b"}},{fine}}}', f'{{"__metadata__":{{"a":1}},{fine}}}', f'{{"__metadata__":{{"a":null}},{fine}}}',
                   f'{{"__metadata__":{{"a":{{}}}},{fine}}}', f'{{"__metadata__":[],{fine}}}', f'{{"__metadata__":null,{fine}}}', f'{{"__metadata__":"x",{fine}}}',
                   f'{{"__metadata__":{{"a":"b","a":"c"}},{fine}}}', f'{{"__metadata__":{{}},"__metadata__":{{}},{fine}}}', f'{{{fine},"__metadata__":{record()}}}',
                   f'{{"x":{record()[:-1]},"deep":{"[" * 40 + "]" * 40}}}}}', f'{{"x":{record()[:-1]},"deep":{"[" * 200 + "]" * 200}}}}}',
                   f'{{"x":{record()[:-1]},"n":1e999}}}}', f'{{"x":{record()[:-1]},"n":NaN}}}}', f'{{"x":{record()[:-1]},"n":-0.5e-3}}}}']:
        yield safe(header, eight)
    for bad in [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x28\xa1", b"\x80"]:
        yield safe(b'{"' + bad + b'":' + record().encode() + b"}", eight)
    header = f"{{{fine}}}"
    for length in [0, 1, len(header) - 1, len(header) + 1, len(header) + 8, len(header) + 9, 2**31, 2**32, 2**63, 2**64 - 1, 100_000_000, 100_000_001]:
        yield safe(header, eight, length)
    for n in range(9):
        yield safe(header, eight)[:n]
    two = lambda a, b: f'{{"a":{record(offsets=a)},"b":{record(offsets=b)}}}'
    for a, b in itertools.product(["[0,8]", "[8,16]", "[4,12]", "[0,16]", "[0,0]", "[16,24]"], repeat=2):
        yield safe(two(a, b), eight * 2)
    for shared in ["[0,0]", "[8,8]", "[4,4]"]:
        yield safe(f'{{"a":{record()},"b":{record(shape="[0]", offsets=shared)}}}', eight)


# ---- zip ---------------------------------------------------------------------------------------------------------------------

Part = collections.namedtuple("Part", "name content flags method local crc size packed extra", defaults=(0, 0, None, 0, 0, 0, b""))


def archive(parts, comment=b"", end_entries=0, end_at=0, end_size=0, prefix=b"", gap=b""):
    """Each number of a part is added to the true one."""
    file, directory = prefix, b""
    for p in parts:
        name = p.name if isinstance(p.name, bytes) else p.name.encode()
        content = p.content
        body = content if p.method != 8 else zlib.compress(content, 9)[2:-4]
        common = struct.pack("<HHHHHIII", 20, p.flags, p.method, 0, 0x21, zlib.crc32(content) + p.crc & 0xFFFFFFFF, len(body) + p.packed & 0xFFFFFFFF,
                             len(content) + p.size & 0xFFFFFFFF)
        local = name if p.local is None else p.local
        directory += b"PK\1\2" + struct.pack("<H", 20) + common + struct.pack("<HHHHHII", len(name), len(p.extra), 0, 0, 0, 0, len(file)) + name + p.extra
        file += b"PK\3\4" + common + struct.pack("<HH", len(local), 0) + local + body + gap
    return file + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(parts) + end_entries, len(parts) + end_entries, len(directory) + end_size,
                                                      len(file) + end_at, len(comment)) + comment


def archives(parts):
    """One sound archive, and what may be wrong with it."""
    first, rest = parts[0], list(parts[1:])
    yield archive(parts)
    yield archive(parts, comment=b"a note")
    yield archive(list(reversed(parts)))
    for n in [-1, 1, 100, 0xFFFF - len(parts)]:
        yield archive(parts, end_entries=n)
    for n in [-1, 1, 46, 10_000]:
        yield archive(parts, end_at=n)
        yield archive(parts, end_size=n)
    yield archive(parts, prefix=b"#!/bin/sh\n")
    yield archive(parts, gap=b"gap")
    yield archive(parts) + b"more"
    yield archive(parts)[:-1]
    yield archive([first, *parts])
    yield archive([])
    for part in [0, len(rest)]:
        p = parts[part]
        for field, values in dict(flags=[1, 8, 1 << 11, 1 << 13, 1 << 6], method=[1, 8, 9, 12, 14, 93, 99], crc=[1, -zlib.crc32(p.content)], size=[1, -1, 2**31],
                                  packed=[1, -1, 2**31], local=[b"", b"x", b"../x", b"archive/data.pkl"],
                                  extra=[b"\1\0\x10\0" + bytes(16), b"\1\0\0\0", b"FB\x08\0" + bytes(8), b"\1\0\xff\xff", b"x"],
                                  name=["", "../../x", "/x", "x/", "archive/./data.pkl", "A" * 300, "archive\\data.pkl", "archive/data.pkl\0x"]).items():
            for value in values:
                yield archive([q._replace(**{field: value}) if i == part else q for i, q in enumerate(parts)])


# ---- pickles of torch --------------------------------------------------------------------------------------------------------


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s.encode()


def number(n):
    return b"\x8a\x08" + struct.pack("<q", n) if -2**63 <= n < 2**63 else b"\x8a\x10" + n.to_bytes(16, "little", signed=True)


def cls(module, name):
    return f"c{module}\n{name}\n".encode()


def tup(*items):
    return b"(" + b"".join(items) + b"t"


def storage(kind="FloatStorage", key="0", elements=6, module="torch", place="cpu", word="storage"):
    return tup(text(word), cls(module, kind), text(key), text(place), number(elements)) + b"Q"


HOOKS = cls("collections", "OrderedDict") + b")R"


def tensor(source=None, offset=0, size=(2, 3), stride=(3, 1), how="_rebuild_tensor_v2", tail=b"\x89" + HOOKS):
    source = storage() if source is None else source
    args = tup(source, number(offset), tup(*map(number, size)), tup(*map(number, stride)), tail)
    return cls("torch._utils", how) + args + b"R"


def weights(*values, names="abcdef"):
    return b"\x80\2}(" + b"".join(text(n) + v for n, v in zip(names, values)) + b"u."


def torch_pickles():
    yield weights(tensor())
    for offset in [-1, 1, 5, 6, 2**31, 2**63 - 1, -2**63, 2**64]:
        yield weights(tensor(offset=offset))
    for size, stride in [((6,), (1,)), ((7,), (1,)), ((2, 3), (0, 0)), ((2, 3), (1, 2)), ((2, 3), (-3, 1)), ((-2, 3), (3, 1)), ((2, 3), (3,)), ((2,), (3, 1)),
                         ((), ()), ((0,), (1,)), ((0, 3), (100, 100)), ((2**31, 2**31), (0, 0)), ((2**63 - 1,), (1,)), ((2**62, 4), (0, 0)), ((2, 3), (2**62, 2**62)),
                         ((1, 1, 1, 1, 1, 1, 1, 1, 6), (6, 6, 6, 6, 6, 6, 6, 6, 1)), ((6,), (2**63 - 1,)), ((3, 2, 1), (2, 1, 1))]:
        yield weights(tensor(size=size, stride=stride))
    for kind in ["FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage", "LongStorage", "IntStorage", "ShortStorage", "CharStorage", "ByteStorage",
                 "BoolStorage", "ComplexFloatStorage", "QInt8Storage", "UntypedStorage", "TypedStorage", "NoStorage", "float32"]:
        for elements in [6, 3, 12, 24, 0, -1]:
            yield weights(tensor(storage(kind, elements=elements), size=(2,), stride=(1,)))
    for changed in [dict(key="1"), dict(key=""), dict(key="../0"), dict(place="cuda:0"), dict(place=""), dict(word="module"), dict(word=""), dict(module="torch.cuda"),
                    dict(module="os"), dict(elements=2**62), dict(elements=2**63 - 1), dict(elements=2**64)]:
        yield weights(tensor(storage(**changed)))
    for tail in [b"", b"\x88" + HOOKS, b"\x89", b"\x89N", b"\x89]", b"\x89" + HOOKS + b"N", b"\x89" + HOOKS + b"}", b"\x89" + HOOKS + b"NN", b"K\1" + HOOKS, text("x") + HOOKS]:
        yield weights(tensor(tail=tail))
    for how in ["_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter", "_rebuild_qtensor", "_rebuild_sparse_tensor",
                "_rebuild_meta_tensor_no_storage", "_rebuild_nested_tensor", "_rebuild_wrapper_subclass", "_no_such_function"]:
        yield weights(tensor(how=how))
        yield weights(tensor(how=how, tail=b""))
        yield weights(cls("torch._utils", how) + b")R")
    parameter = lambda *args: cls("torch._utils", "_rebuild_parameter") + tup(*args) + b"R"
    for args in [(tensor(), b"\x88", HOOKS), (tensor(), b"\x88"), (tensor(),), (), (parameter(tensor(), b"\x88", HOOKS), b"\x89", HOOKS), (text("x"), b"\x88", HOOKS),
                 (b"N", b"\x88", HOOKS)]:
        yield weights(parameter(*args))
    for value in [b"N", b"\x88", number(3), text("x"), b"]", b"}", b")", b"\x8f", cls("torch", "float32"), storage(), cls("torch", "Size") + tup(tup(number(2))) + b"R",
                  cls("collections", "OrderedDict") + b")R", cls("argparse", "Namespace") + b")\x81}" + text("lr") + b"K\1sb", b"C\1x", b"G" + bytes(8),
                  cls("os", "system") + tup(text("true")) + b"R", cls("builtins", "eval") + tup(text("1")) + b"R", cls("__builtin__", "set") + tup(b"]") + b"R",
                  cls("my.package", "Thing") + b")R", cls("pathlib", "PosixPath") + tup(text("x")) + b"R", cls("numpy.core.multiarray", "scalar") + b")R"]:
        yield weights(tensor(), value)
        yield weights(value)
        yield b"\x80\2" + value + b"."
    for code in [b"", b".", b"\x80\2.", b"\x80\2N.", b"\x80\6N.", b"\x80\2(.", b"\x80\2}", b"\x80\2}}.", b"\x80\2}K\1.", b"\x80\2}h\0.", b"\x80\2}q\0h\0h\0.", b"\x80\2a.", b"\x80\2e.",
                 b"\x80\2}N" + b"s.", b"\x80\2}NNs.", b"\x80\2NNNs.", b"\x80\2]N" + b"a.", b"\x80\2NNa.", b"\x80\2}]Ns.", b"\x80\2X\xff\xff\xff\xffx.", b"\x80\2\x8a\xff.",
                 b"\x80\4\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.", b"\x80\2" + b"(" * 2000 + b".", b"\x80\2N" + b"\x85" * 3000 + b".", b"\x80\2cos\nsystem\nX\1\0\0\0x\x85R.",
                 b"\x80\2c\n\n.", b"\x80\2cos\n", b"\x80\2})R.", b"\x80\2N)R.", b"\x80\2N)\x81.", b"\x80\2N}b.", b"\x80\2NQ.", b"\x80\2X\1\0\0\0xQ.", b"\x80\2)Q.", b"\x80\2}q\1h\1s.",
                 b"\x80\2\x80\2\x80\2}.", b"}.", b"(dp0\n.", b"(lp0\n.", b"\x80\2\x82\1.", b"\x80\2\x83\1\1.", b"\x80\2i.", b"\x80\2o.", b"\x80\2P.", b"I1\n.", b"L1L\n.", b"F1.0\n.", b"S'a'\n.",
                 b"Va\n.", b"\x80\2\x97.", b"\x80\2\x98.", b"\x80\2\xff."]:
        yield code
    for key in ["state_dict", "model", "model_ema", "state_dict_ema", "module", "net"]:
        for value in [weights(tensor())[2:-1], b"N", b"]", tensor(), text("x"), b"}"]:
            yield b"\x80\2}" + text(key) + value + b"s" + text("a") + tensor() + b"s."
    for protocol in range(1, 6):
        yield pickle.dumps({"epoch": 3, "names": ["a"], "big": 1 << 80}, protocol)


STORAGE = np.arange(6, dtype="<f4").tobytes()


def torch_zip_files():
    sound = [Part("archive/data.pkl", weights(tensor())), Part("archive/data/0", STORAGE), Part("archive/version", b"3\n")]
    yield from archives(sound)
    pickled = lambda code: [sound[0]._replace(content=code), *sound[1:]]
    for code in torch_pickles():
        yield archive(pickled(code))
    for byteorder in [b"little", b"big", b"", b"middle", b"LITTLE"]:
        yield archive([*sound, Part("archive/byteorder", byteorder)])
    for n in [0, 4, 20, 23, 25, 28, 100]:
        yield archive([sound[0], Part("archive/data/0", (STORAGE * 5)[:n]), sound[2]])
    for names in [("data.pkl", "data/0", "version"), ("a/data.pkl", "b/data/0", "a/version"), ("a/b/data.pkl", "a/b/data/0", "a/b/version"), ("a/data.pkl", "a/data/0", "b/data.pkl"),
                  ("a/data.pkl", "a/data/0", "a/code/x.py"), ("a/data.pkl", "a/data/0", "a/constants.pkl"), ("a/data.pkl", "a/data/1", "a/version"), ("a/xdata.pkl", "a/data/0", "a/version")]:
        yield archive([p._replace(name=n) for p, n in zip(sound, names)])


def stream(magic=None, protocol=None, system=None, code=None, keys=None, storages=None):
    pick = lambda v: pickle.dumps(v, 2)
    return b"".join([pick(0x1950A86A20F9469CFC6C) if magic is None else magic, pick(1001) if protocol is None else protocol,
                     pick({"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}) if system is None else system,
                     legacy(weights(tensor())) if code is None else code, pick(["0"]) if keys is None else keys,
                     struct.pack("<q", 6) + STORAGE if storages is None else storages])


def legacy(code):
    """Persistent ids of streams have a sixth value: the view."""
    return code.replace(b"tQ", b"NtQ")


def torch_stream_files():
    pick = lambda v: pickle.dumps(v, 2)
    yield stream()
    for v in [0, 1001, "x", None, 0x1950A86A20F9469CFC6D, [1]]:
        yield stream(magic=pick(v))
    for v in [1000, 1002, 0, -1, "1001", None, 1001.0, True, 2**70]:
        yield stream(protocol=pick(v))
    for v in [{}, None, [], {"little_endian": False}, {"little_endian": 0}, {"little_endian": "yes"}, {"protocol_version": 5}]:
        yield stream(system=pick(v))
    for v in [[], ["1"], ["0", "0"], ["0", "1"], "0", None, [0], [None], {"0": 1}, ("0",)]:
        yield stream(keys=pick(v))
    for numel in [0, 5, 7, -1, 2**31, 2**62, -2**63]:
        yield stream(storages=struct.pack("<q", numel) + STORAGE)
    for n in range(0, 40, 3):
        yield stream(storages=(struct.pack("<q", 6) + STORAGE * 2)[:n])
    for n in range(0, len(stream()), 9):
        yield stream()[:n]
    for code in torch_pickles():
        yield stream(code=legacy(code))
    view = lambda *v: tup(text("storage"), cls("torch", "FloatStorage"), text("0"), text("cpu"), number(6), tup(*v)) + b"Q"
    for v in [(text("v"), number(0), number(6)), (text("v"), number(2), number(4)), (text("v"), number(2), number(6)), (text("v"), number(-1), number(4)), (text("v"), number(0), number(-1)),
              (text("v"), number(2**62), number(2**62)), (text("v"),), (number(1), text("a"), text("b"))]:
        yield stream(code=weights(tensor(view(*v), size=(2, 2), stride=(2, 1))))


# ---- NumPy -------------------------------------------------------------------------------------------------------------------


def npy(header, data=b"", version=(1, 0), length=None, magic=b"\x93NUMPY"):
    header = header if isinstance(header, bytes) else header.encode("latin1")
    size = len(header) if length is None else length
    return magic + bytes(version) + (struct.pack("<H", size & 0xFFFF) if version[0] == 1 else struct.pack("<I", size & 0xFFFFFFFF)) + header + data


def npy_files():
    sixteen = bytes(range(16))
    said = lambda descr="'<f4'", order="False", shape="(4,)": f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
    yield npy(said(), sixteen)
    for descr in ["<f4", ">f4", "=f4", "|f4", "f4", "<f8", "<f2", ">f2", "<i8", ">i8", "<i4", "<i2", "|i1", "<i1", ">i1", "<u8", "<u4", "<u2", "|u1", "|b1", "?", "<c8", "<c16", "<U1", "<U4",
                  "<U0", "|S4", "|O", "O", "|V4", "<M8[s]", "<m8", "<f16", "f", "d", "float32", "int", "", "<", "<f", "<f3", "<f-4", "f4,i4", "4f4", "<f4\\n", ">U1"]:
        for shape in ["(4,)", "(2,)", "(2, 2)"]:
            yield npy(said(repr(descr), shape=shape), sixteen)
    for descr in ["None", "4", "['<f4']", "[('a', '<f4')]", "[('a', '<f4'), ('b', '<i4', (2,))]", "[]", "('<f4', (2,))", "{'names': ['a'], 'formats': ['<f4']}", "'<f4' '<f8'", "\"<f4\"",
                  "u'<f4'", "b'<f4'", "f'<f4'", "'''<f4'''"]:
        yield npy(said(descr), sixteen)
    for order in ["True", "False", "0", "1", "None", "true", "'False'", "(False)", "not True", "False and x"]:
        yield npy(said(order=order, shape="(2, 2)"), sixteen)
    for shape in ["()", "(0,)", "(4)", "4", "[4]", "(4,)", "(4, 1)", "(2, 2)", "(-4,)", "(4.0,)", "(4L,)", "(2L, 2L)", "(4,,)", "(,)", "(,4)", "(1,) * 4", "(0x4,)", "(0b100,)", "(04,)", "(+4,)", "(1_0,)", "(True,)",
                  "(None,)", "('4',)", "(4611686018427387904,)", "(9223372036854775808,)", "(18446744073709551616,)", "(0, 9223372036854775807)", "(0, 18446744073709551616)",
                  "(4294967296, 4294967296)", "(65536, 65536, 65536, 65536)", "(5,)", "(3,)", "(1, 1, 1, 1, 1, 1, 1, 1, 4)", "(" + "1, " * 40 + "4)", "(4,) # note"]:
        yield npy(said(shape=shape), sixteen)
    for header in ["", " ", "\n", "{}", "{", "}", "()", "None", "1", "'x'", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False}", said() + said(), said().strip() + " + {}", said().replace("}", ""),
                   said().replace(", }", "}"), said().replace(", }", ",, }"), said().replace("descr", "DESCR"), said().replace("'", '"'), said().replace(" ", ""), said().replace(" ", "\n  "),
                   said().replace("}", "'more': 1}"), said().replace("'shape'", "'descr'"), "dict(descr='<f4', fortran_order=False, shape=(4,))", "__import__('os').system('true')",
                   "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'shape': (2, 2)}\n", "\0" + said(), said() + "\0", said().strip(), said().strip() + " " * 200 + "\n", "[" * 500, "(" * 5000,
                   "{'shape': (4,), 'descr': '<f4', 'fortran_order': False}\n", "\xff" + said()]:
        yield npy(header, sixteen)
    for version in [(1, 0), (1, 1), (2, 0), (3, 0), (2, 9), (0, 0), (0, 1), (4, 0), (255, 255)]:
        yield npy(said(), sixteen, version)
    for length in [0, 1, 10, len(said()) - 1, len(said()) + 1, len(said()) + 16, 0xFFFF]:
        yield npy(said(), sixteen, length=length)
        yield npy(said(), sixteen, (2, 0), length=length)
    yield npy(said(), sixteen, (2, 0), length=2**32 - 1)
    for magic in [b"\x93NUMPX", b"\x93numpy", b"", b"\x93"]:
        yield npy(said(), sixteen, magic=magic)
    for n in [0, 1, 4, 15, 17, 32]:
        yield npy(said(), (sixteen * 2)[:n])
    for n in range(12):
        yield npy(said(), sixteen)[:n]


def npz_files():
    array = io.BytesIO()
    np.save(array, np.arange(4, dtype="<f4"))
    other = io.BytesIO()
    np.save(other, np.arange(6, dtype="<i8").reshape(2, 3))
    sound = [Part("a.npy", array.getvalue()), Part("b/c.npy", other.getvalue())]
    yield from archives(sound)
    yield from archives([p._replace(method=8) for p in sound])
    for content in itertools.islice(npy_files(), 0, None, 3):
        yield archive([sound[0], Part("x.npy", content)])
    for name in ["x", "x.npz", ".npy", "x.npy.npy", "../x.npy", "x.NPY", "x y.npy", "ä.npy"]:
        yield archive([sound[0], sound[1]._replace(name=name, flags=0 if name.isascii() else 1 << 11)])
    for packing in [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", packing) as z:
            for p in sound:
                with z.open(p.name, "w", force_zip64=True) as f:
                    f.write(p.content)
        yield out.getvalue()


FILES = {"safetensors": safetensors_files, "torch_zip": torch_zip_files, "torch_stream": torch_stream_files, "npy": npy_files, "npz": npz_files}


def files(kind):
    found = list(FILES[kind]())
    assert len(found) >= 200, (kind, len(found))
    return found
