# SPDX-License-Identifier: Apache-2.0
# tools/build_times.py — what ninja's log says of a build: wall time, the slowest files, and whether the budgets hold.
import argparse
import pathlib
import statistics
import sys

import sizes

# Seconds of a machine on which the middle one of the files that are compiled around the same time takes TYPICAL_SECONDS. One
# that is slower, or busy meanwhile, gets as much more: budgets say how files compare, not what else the machine does.
TYPICAL_SECONDS = 2.5
AROUND_SECONDS = 60
FAMILY_SECONDS = 8.0  # one file of zoo/families: 4 on a quiet machine
FILE_SECONDS = 30.0  # any file: 15 on a quiet machine
BUILD_MINUTES = 40.0  # a clean CPU build on 2 cores, slow ones too; others take a third


def read_log(path):
    """The last step of every output, begin and end, and the wall times of the ninja runs (a run's clock starts at 0)."""
    steps, walls, last_end = {}, [], None
    for line in path.read_text().splitlines():
        fields = line.split("\t")
        if line.startswith("#") or len(fields) < 4:
            continue
        start, end, output = int(fields[0]), int(fields[1]), fields[3]
        if last_end is None or end < last_end:
            walls.append(0)
        walls[-1] = max(walls[-1], end)
        last_end = end
        steps[output] = (start / 1000, end / 1000)
    return steps, [wall / 1000 for wall in walls]


def source_of(output):
    """meson names engine/core/tensor.cpp's object …p/core_tensor.cpp.o; enough of a name for people."""
    return output.replace(".p/", ": ").removesuffix(".o")


def pace_around(moment, compiled):
    """How many times as long as it should the middle one of the files took that ended around that moment: at least once,
    for caches make it shorter."""
    taken = [end - start for start, end in compiled.values() if abs(end - moment) <= AROUND_SECONDS]
    return max(1.0, statistics.median(taken) / TYPICAL_SECONDS)


def over_budget(steps, wall):
    compiled = {output: step for output, step in steps.items() if output.endswith(".o")}
    for output, (start, end) in compiled.items():
        limit = pace_around(end, compiled) * (FAMILY_SECONDS if "families_" in output else FILE_SECONDS)
        if end - start > limit:
            yield f"{source_of(output)} took {end - start:.1f} s; its budget is {limit:.0f} s"
    if wall > BUILD_MINUTES * 60:
        yield f"the build took {wall / 60:.1f} min; its budget is {BUILD_MINUTES:.0f} min"


def excess_of(folder):
    """What is over budget in a build folder, a line each."""
    return list(over_budget(*timed(folder))) + sizes.excess_of(folder)


def timed(folder):
    steps, walls = read_log(pathlib.Path(folder) / ".ninja_log")
    return steps, sum(walls)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", default="build/meson", help="a meson build folder")
    parser.add_argument("--check", action="store_true", help="fail when a budget is exceeded")
    options = parser.parse_args()
    log = pathlib.Path(options.folder) / ".ninja_log"
    if not log.exists():
        sys.exit(f"build_times: {log} does not exist; build first")
    steps, walls = read_log(log)
    wall = sum(walls)
    note = "" if len(walls) == 1 else f", in {len(walls)} runs of ninja (rm -rf {options.folder} for a clean figure)"
    seconds = {output: end - start for output, (start, end) in steps.items()}
    print(f"{len(steps)} steps, {wall:.0f} s wall, {sum(seconds.values()):.0f} s of work{note}")
    for output, taken in sorted(seconds.items(), key=lambda item: -item[1])[:15]:
        print(f"{taken:7.1f} s  {source_of(output)}")
    excess = list(over_budget(steps, wall)) + sizes.excess_of(options.folder)
    for line in excess:
        print(f"over budget: {line}")
    return 1 if options.check and excess else 0


if __name__ == "__main__":
    sys.exit(main())
