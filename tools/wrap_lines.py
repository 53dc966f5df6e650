# SPDX-License-Identifier: Apache-2.0
# tools/wrap_lines.py — brings lines of C++ files under 120 columns: comments by words, code by clang-format, all else untouched.
import re
import subprocess
import sys

LIMIT = 120


def wrap_words(prefix, text):
    lines, line = [], prefix
    for word in text.split(" "):
        if line != prefix and len(line) + 1 + len(word) > LIMIT:
            lines.append(line)
            line = prefix
        line += word if line == prefix else " " + word
    return lines + [line]


def comment_start(line):
    """Where a trailing // comment begins, or -1; quotes are skipped."""
    quote, i = None, 0
    while i < len(line):
        c = line[i]
        if quote:
            if c == "\\":
                i += 1
            elif c == quote:
                quote = None
        elif c == '"' or (c == "'" and not (i and line[i - 1].isalnum())):
            quote = c
        elif line.startswith("//", i):
            return i
        i += 1
    return -1


def wrap_comments(lines):
    """Comment lines flow into the comment line that goes on with their sentence; trailing comments move above their code."""
    out, carry = [], ""
    for number, line in enumerate(lines):
        whole = re.match(r"^(\s*///?<? +)(\S.*)$", line)
        if carry:
            line, carry = whole[1] + carry + " " + whole[2], ""
            whole = re.match(r"^(\s*///?<? +)(\S.*)$", line)
        if len(line) <= LIMIT or line.lstrip().startswith("#include"):
            out.append(line)
        elif whole:
            pieces = wrap_words(whole[1], whole[2])
            following = lines[number + 1] if number + 1 < len(lines) else ""
            goes_on = re.match(re.escape(whole[1]) + r"[a-z`(]", following)
            if len(pieces) == 2 and goes_on and number > 2:
                out.append(pieces[0])
                carry = pieces[1][len(whole[1]):]
            else:
                out += pieces
        else:
            at = comment_start(line)
            code = line[:at].rstrip() if at > 0 else ""
            if code and not code.endswith("\\") and "NOLINT" not in line:
                indent = re.match(r"\s*", line)[0]
                out += wrap_words(indent + "// ", line[at:].lstrip("/").strip()) + [code]
            else:
                out.append(line)
    return out


def long_lines(lines):
    return [i for i, line in enumerate(lines, 1) if len(line) > LIMIT and not line.lstrip().startswith("#include")]


def wrap_file(path):
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    before = len(long_lines(lines))
    if not before:
        return 0
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(wrap_comments(lines)))
    with open(path, encoding="utf-8") as f:
        left = long_lines(f.read().split("\n"))
    if left:
        subprocess.run(["clang-format", "-i", *(f"--lines={i}:{i}" for i in left), path], check=True)
    with open(path, encoding="utf-8") as f:
        for i in long_lines(f.read().split("\n")):
            print(f"{path}:{i}: still longer than {LIMIT} columns")
    return before


if __name__ == "__main__":
    print(f"{sum(wrap_file(path) for path in sys.argv[1:])} long lines wrapped")
