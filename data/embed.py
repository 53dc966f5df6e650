# SPDX-License-Identifier: Apache-2.0
"""embed.py — turns a file into a .cpp that holds its bytes: embed.py INPUT OUTPUT ns::name

The result defines `extern const char name[]` and `extern const size_t name_size` in the namespace.
"""
import sys


def main(source, target, qualified):
    *spaces, name = qualified.split("::")
    with open(source, "rb") as f:
        data = f.read()
    # Octal escapes of fixed length: whatever follows can never become part of one.
    plain = [chr(v) if 0x20 <= v < 0x7F and chr(v) not in '"\\?' else f"\\{v:03o}" for v in range(256)]
    lines = ['    "' + "".join(plain[v] for v in data[i:i + 100]) + '"' for i in range(0, len(data), 100)] or ['    ""']
    with open(target, "w", encoding="ascii") as f:
        f.write("#include <cstddef>\n\n")
        f.write(f"namespace {'::'.join(spaces)} {{\n" if spaces else "")
        f.write(f"extern const char {name}[];\nextern const std::size_t {name}_size;\n")
        f.write(f"const char {name}[] =\n" + "\n".join(lines) + ";\n")
        f.write(f"const std::size_t {name}_size = {len(data)};\n")
        f.write("}\n" if spaces else "")


if __name__ == "__main__":
    main(*sys.argv[1:])
