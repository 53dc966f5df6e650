# SPDX-License-Identifier: Apache-2.0
# tools/same_code.py — are functions of two builds the same instructions? Addresses are masked, for moved code has others:
# `tools/same_code.py BEFORE AFTER PATTERN…`, of programs, libraries or object files; a pattern is a regular expression
# that a demangled name contains. Code for processors that are not at hand is compared so before and after it was moved.
import argparse
import collections
import re
import subprocess
import sys

START = re.compile(r"^([0-9a-f]+) <(.*)>:$")
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(.*)$")
TARGET = re.compile(r"\b([0-9a-f]+) <(.*?)(\+0x[0-9a-f]+)?>$")  # of jumps and calls
DATA = re.compile(r"-?0x[0-9a-f]+\(%rip\)(.*?)\s*# [0-9a-f]+ <.*>$")  # where constants lie is the linker's


def functions_of(path, pattern):
    """Name to the masked instructions of each function of that name; what pads behind a function's end is none of it."""
    out = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-C", path], check=True, capture_output=True, text=True)
    found, body, start, name = collections.defaultdict(list), None, 0, ""
    for line in out.stdout.splitlines():
        if head := START.match(line):
            start, name = int(head[1], 16), head[2]
            body = [] if pattern.search(name) else None
            if body is not None:
                found[name].append(body)
        elif body is not None and (part := LINE.match(line)):
            body.append(masked(part[2], start, name))
    for bodies in found.values():
        for b in bodies:
            while b and re.match(r"(cs |data16 )*nop|xchg\s+%ax,%ax|int3", b[-1]):
                b.pop()
    return found


def masked(text, start, own):
    text = DATA.sub(r"(data)\1", text.rstrip())
    # inside of the function: how far from its start; else the name alone
    return TARGET.sub(lambda m: f"+{int(m[1], 16) - start:#x}" if m[2] == own else f"<{m[2]}>", text)


def compare(before, after):
    """Lines that say which functions differ, and how many are the same."""
    lines, same = [], 0
    for name in sorted(set(before) | set(after)):
        b, a = sorted(before.get(name, [])), sorted(after.get(name, []))
        if b == a:
            same += len(a)
            continue
        if not b or not a:
            lines.append(f"only {'after' if a else 'before'}: {name}")
            continue
        lines.append(f"differs: {name}")
        first = next(((x, y) for x, y in zip(b[0], a[0]) if x != y), None)
        lines.append(f"  {first[0]}\n  {first[1]}" if first else f"  {len(b[0])} instructions, now {len(a[0])}")
    return lines, same


def main():
    parser = argparse.ArgumentParser(description="are functions of two builds the same instructions?")
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("patterns", nargs="+", metavar="PATTERN", help="regular expressions of demangled names")
    args = parser.parse_args()
    pattern = re.compile("|".join(f"(?:{p})" for p in args.patterns))
    before, after = functions_of(args.before, pattern), functions_of(args.after, pattern)
    lines, same = compare(before, after)
    print("\n".join(lines + [f"{same} functions are the same, {len([x for x in lines if x[0] != ' '])} are not"]))
    return 1 if lines or not same else 0


if __name__ == "__main__":
    sys.exit(main())
