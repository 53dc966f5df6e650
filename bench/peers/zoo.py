#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# bench/peers/zoo.py — fovea beside PyTorch and OpenVINO over the whole catalogue: of each module the smallest, the median and
# the largest, and more of large modules. It can be stopped at any time, and goes on where it was.
#
# usage: zoo.py [--names 300] [--most-gmacs 8] [--rounds 3] [--peers torch,openvino] [--models A,B] [--out build/bench/zoo.jsonl]
#
# Lines are those of compare.py, and one more for each model: its module, its work and fovea's slowest kernels. zoo_report.py
# makes a table, a plot and a list of the worst of them. A model that was measured on one processor is not measured again on
# another, unless --out names another file.
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess

import compare
import report

ROOT = compare.ROOT


def information(tool, names, workers):
    """What the tool says of these models: name, module, params, macs."""
    told = lambda name: json.loads(compare.output_of(tool, "info", name, "--json"))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(told, names))


def spread(count):
    """Places in a sorted list, the most telling first: both ends, the middle, then what lies between."""
    order, seen, parts = [], set(), 1
    while len(order) < count:
        places = [0, count - 1] if parts == 1 else [round(i * (count - 1) / parts) for i in range(1, parts, 2)]
        for place in places:
            if place not in seen:
                seen.add(place)
                order.append(place)
        parts *= 2
    return order


def choose(infos, wanted, most_macs):
    """Three of each module, by work; then one more of each in turn, those with most models first, until there are enough."""
    modules = collections.defaultdict(list)
    for info in infos:
        if info["macs"] <= most_macs:
            modules[info["module"]].append(info)
    queues = {}
    for module, members in modules.items():
        members.sort(key=lambda info: (info["macs"], info["name"]))
        queues[module] = [members[place] for place in spread(len(members))]
    chosen = [info for queue in queues.values() for info in queue[:3]]
    rest = sorted((queue[3:] for queue in queues.values()), key=len, reverse=True)
    for turn in range(max(map(len, rest), default=0)):
        for queue in rest:
            if turn < len(queue) and len(chosen) < wanted:
                chosen.append(queue[turn])
    return sorted(chosen, key=lambda info: (info["module"], info["macs"]))


def slowest_kernels(tool, name, threads):
    """fovea's steps summed by kernel: [kernel, share of the time], the three largest."""
    told = compare.output_of(tool, "bench", name, "--per-op", "--json", "--repeat", "5", "--threads", str(threads))
    sums = collections.Counter()
    for step in json.loads(told)[0]["steps"] if told else []:
        sums[f"{step['op']} {step['kernel']}"] += step["us"]
    total = sum(sums.values()) or 1
    return [[kernel, round(us / total, 3)] for kernel, us in sums.most_common(3)]


class Zoo(compare.Comparison):
    def measure(self, info):
        name = info["name"].split(".")[0]
        case = compare.Case(model=name)
        try:
            self.run(case)
        except (subprocess.CalledProcessError, OSError, ValueError) as error:
            self.failed(case, "all", error)
        finally:
            for file in (*self.folder.glob(f"{name}.safetensors*"), *self.folder.glob(f"{name}-1.f32*")):
                file.unlink()  # all of them together would fill a disk
        self.write(kind="zoo", **compare.asdict(case), module=info["module"], macs=info["macs"], params=info["params"],
                   kernels=slowest_kernels(self.options.fovea, name, self.options.threads))


def measured(path):
    """The models whose last line was written."""
    path = pathlib.Path(path)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {row["model"] for row in rows if row["kind"] == "zoo"}


def drop_unfinished(path):
    """Lines of a model that was not measured to its end, and a line that was cut off, would count twice."""
    path = pathlib.Path(path)
    if not path.exists():
        return
    kept, pending = [], []
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["kind"] == "machine":
            pending = []
            kept.append(line)
            continue
        pending.append(line)
        if row["kind"] == "zoo":
            kept += pending
            pending = []
    new = path.with_suffix(path.suffix + ".new")
    new.write_text("".join(line + "\n" for line in kept))
    new.replace(path)


def parse():
    parser = argparse.ArgumentParser(description="fovea and peers over the catalogue")
    parser.add_argument("--names", type=int, default=300, help="how many models at least")
    parser.add_argument("--most-gmacs", type=float, default=8)
    parser.add_argument("--models", help="these instead of a choice")
    parser.add_argument("--peers", default="torch,openvino")
    parser.add_argument("--fovea", default=str(ROOT / "build/fovea"), help="the tool")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slice-ms", type=float, default=500, help="about how long an engine's turn is")
    parser.add_argument("--out", default=str(ROOT / "build/bench/zoo.jsonl"), help="where the lines go")
    parser.add_argument("--work", default=str(ROOT / "build/bench/zoo"), help="a folder for weights, inputs and logs")
    parser.add_argument("--list", action="store_true", help="only print what would be measured")
    return parser.parse_args()


def main():
    options = parse()
    options.append, options.twice, options.isa = True, False, ""
    if options.models:
        chosen = information(options.fovea, options.models.split(","), options.threads)
    else:
        infos = information(options.fovea, compare.output_of(options.fovea, "models").split(), options.threads)
        chosen = choose(infos, options.names, options.most_gmacs * 1e9)
    if options.list:
        for info in chosen:
            print(f"{info['module']}\t{info['name'].split('.')[0]}\t{info['macs'] / 1e9:.3f}")
        return
    pathlib.Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    drop_unfinished(options.out)
    done = measured(options.out)
    left = [info for info in chosen if info["name"].split(".")[0] not in done]
    zoo = Zoo(options)
    for number, info in enumerate(left):
        zoo.say(f"{len(chosen) - len(left) + number + 1} of {len(chosen)}")
        zoo.measure(info)
    zoo.out.close()
    print(report.text_tables(report.read(options.out)))


if __name__ == "__main__":
    main()
