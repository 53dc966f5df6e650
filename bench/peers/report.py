#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# bench/peers/report.py — tables from the lines that compare.py wrote: medians, paired ratios, and what does not count.
#
# usage: report.py RESULTS.jsonl [--page docs/benchmarks.md [--zoo build/bench/zoo.jsonl]]
import argparse
import json
import math
import pathlib
import statistics
from dataclasses import dataclass, field

CALM, FEW = 1.05, 0.7  # a calm round's canary against the quickest; the part of rounds that must be calm
TOLERANCE = {"f32": 1e-3, "bf16": 5e-2, "int8": 0.25}  # of the largest value that is compared
FAILED_RATIO = 0.5  # what a model counts that fovea could not run, or answered otherwise
NAMES = {"fovea": "fovea", "fovea again": "fovea again", "torch": "PyTorch", "torch-compile": "torch.compile",
         "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "ncnn": "ncnn", "mnn": "MNN"}


def of_reference(outs):
    """PyTorch's values, or those of the first that is not fovea when PyTorch is not among them."""
    others = [name for name in outs if not name.startswith("fovea")]
    return outs["torch" if "torch" in outs else others[0]] if others else None


def distance(values, reference):
    """The largest difference, relative to the largest value."""
    if len(values) != len(reference):
        return math.inf
    return max(abs(a - b) for a, b in zip(values, reference)) / max(max(map(abs, reference)), 1e-30)


def different_answers(outs, dtype, exact=None):
    """Engines whose values are too far from those of reference; from `exact`, the values in f32, where narrower
    types are compared. There an engine may be as far as PyTorch's bf16 is, and half as much again."""
    reference = exact or of_reference(outs)
    if reference is None:
        return []
    limit = TOLERANCE[dtype]
    if exact and "torch" in outs:
        limit = max(limit, 1.5 * distance(outs["torch"], exact))
    return [name for name, values in outs.items() if not distance(values, reference) <= limit]


@dataclass
class Case:
    """All lines of one model, type and batch."""

    model: str
    dtype: str
    batch: int
    train: bool
    isa: str = ""  # the class of instructions that everybody was kept to
    commit: str = ""  # of fovea, when it was measured
    cpu: str = ""  # where
    engines: dict = field(default_factory=dict)  # name -> its ready line
    failed: dict = field(default_factory=dict)  # name -> why
    rounds: dict = field(default_factory=dict)  # number -> {"canary": seconds, "ms": {name: median}}
    absent: bool = False

    @property
    def kind(self):
        return (self.dtype, self.batch, self.train, self.isa)

    @property
    def key(self):
        return (self.model, *self.kind)

    def counted(self):
        """The names whose times mean something: they ran to the end and answered as the others did."""
        return [n for n, e in self.engines.items() if n not in self.failed and not e["differs"] and self.times(n)]

    def calm_rounds(self):
        quickest = min((r["canary"] for r in self.rounds.values()), default=0)
        return [n for n, r in self.rounds.items() if r["canary"] <= CALM * quickest]

    @property
    def noisy(self):
        return len(self.calm_rounds()) < FEW * len(self.rounds)

    def used_rounds(self):
        numbers = self.rounds if self.noisy else self.calm_rounds()
        return [self.rounds[n]["ms"] for n in numbers]

    def times(self, name):
        return [ms[name] for ms in self.used_rounds() if name in ms]

    def median(self, name):
        return statistics.median(self.times(name))

    def ratios(self, name):
        """Of each round, the peer's time to fovea's."""
        return [ms[name] / ms["fovea"] for ms in self.used_rounds() if name in ms and "fovea" in ms]

    def best_peer(self):
        peers = [n for n in self.counted() if not n.startswith("fovea")]
        return min(peers, key=self.median, default=None)

    def ratio(self):
        """Best peer's time to fovea's; FAILED_RATIO when fovea failed, None when there is nothing to compare."""
        if self.absent or not self.best_peer():
            return None
        if "fovea" not in self.counted():
            return FAILED_RATIO
        return statistics.median(self.ratios(self.best_peer()))


@dataclass
class Results:
    machines: list = field(default_factory=list)
    cases: list = field(default_factory=list)

    def kinds(self):
        return list(dict.fromkeys(c.kind for c in self.cases))

    def of_kind(self, kind):
        return [c for c in self.cases if c.kind == kind]

    def commits(self, cases):
        return ", ".join(dict.fromkeys(c.commit for c in cases if c.commit))

    def versions(self):
        found = (e.get("version") for c in self.cases for e in c.engines.values())
        return sorted({v for v in found if v})


def judge(cases):
    """Marks who answers otherwise. bf16 and int8 are compared with f32 where the same results have both."""
    for case in cases.values():
        outs = {name: e["out"] for name, e in case.engines.items()}
        f32 = cases.get((case.model, "f32", case.batch, case.train, case.isa)) if case.dtype != "f32" else None
        exact = of_reference({name: e["out"] for name, e in f32.engines.items()}) if f32 else None
        different = different_answers(outs, case.dtype, exact)
        for name, e in case.engines.items():
            e["differs"] = name in different


def read(path):
    results, cases = Results(), {}
    path = pathlib.Path(path)
    for line in path.read_text().splitlines() if path.exists() else []:
        row = json.loads(line)
        if row["kind"] == "machine":
            results.machines.append(row)
            continue
        key = (row["model"], row["dtype"], row["batch"], row["train"], row.get("isa", ""))
        machine = results.machines[-1] if results.machines else {"commit": "", "cpu": ""}
        case = cases.setdefault(key, Case(*key, commit=machine["commit"], cpu=machine["cpu"]))
        if row["kind"] == "engine":
            case.engines[row["engine"]] = row
        elif row["kind"] == "failed":
            case.failed[row["engine"]] = row["error"]
        elif row["kind"] == "absent":
            case.absent = True
        elif row["kind"] == "round":
            entry = case.rounds.setdefault(row["round"], {"canary": row["canary_s"], "ms": {}})
            entry["ms"][row["engine"]] = statistics.median(row["ms"])
    judge(cases)
    results.cases = list(cases.values())
    return results


def summary(cases):
    """Geometric mean and worst of the best peers' ratios: (mean, worst, its model, how many)."""
    ratios = {c.model: c.ratio() for c in cases if c.ratio() is not None}
    if not ratios:
        return None
    worst = min(ratios, key=ratios.get)
    return math.exp(statistics.fmean(map(math.log, ratios.values()))), ratios[worst], worst, len(ratios)


def engine_names(cases):
    found = {n for c in cases for n in [*c.engines, *c.failed]}
    return [n for n in NAMES if n in found]


def title(kind):
    dtype, batch, train, isa = kind
    return f"{'Training step' if train else 'Inference'}, {dtype}, batch {batch}{', kept to ' + isa if isa else ''}"


def why_not(case, name):
    if name in case.engines and case.engines[name]["differs"]:
        return "other answer"
    return "failed" if name in case.failed else ""


def cell(case, name):
    return f"{case.median(name):.2f}" if name in case.counted() else why_not(case, name)


def ratio_cell(case):
    ratio, best = case.ratio(), case.best_peer()
    if case.absent:
        return "not in fovea"
    if ratio is None:
        return "no peer"
    if "fovea" not in case.counted():
        return f"{ratio:.2f} (void)"
    spread = case.ratios(best)
    return f"{ratio:.2f} ({min(spread):.2f} to {max(spread):.2f}){' noisy' if case.noisy else ''}"


def table(cases):
    names = engine_names(cases)
    rows = [["model", *(NAMES[n] for n in names), "best peer / fovea", "processor"]]
    for c in cases:
        rows.append([c.model, *(cell(c, n) for n in names), ratio_cell(c), c.cpu])
    return rows


def summary_line(cases):
    found = summary(cases)
    if not found:
        return "Nothing to compare."
    mean, worst, model, count = found
    return f"Best peer / fovea: geometric mean {mean:.3f}, worst {worst:.3f} ({model}), over {count} models."


def text_tables(results):
    out = []
    for kind in results.kinds():
        rows = table(results.of_kind(kind))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        out.append(f"{title(kind)}, medians in ms")
        for row in rows:
            out.append("  ".join(v.ljust(w) if i == 0 else v.rjust(w) for i, (v, w) in enumerate(zip(row, widths))))
        out.append(summary_line(results.of_kind(kind)) + "\n")
    return "\n".join(out)


def markdown_table(rows):
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body])


def bold_quickest(cases, rows):
    names = engine_names(cases)
    for case, row in zip(cases, rows[1:]):
        counted = [n for n in names if n in case.counted()]
        if counted:
            i = 1 + names.index(min(counted, key=case.median))
            row[i] = f"**{row[i]}**"
    return rows


def behind(cases):
    """Where a peer is quicker, said and not averaged away."""
    slow = [(c.ratio(), c) for c in cases if c.ratio() is not None and c.ratio() < 1]
    out = []
    for ratio, c in sorted(slow, key=lambda item: item[0]):
        reason = f"behind {NAMES[c.best_peer()]}" if "fovea" in c.counted() else f"void: {why_not(c, 'fovea') or 'no time'}"
        out.append(f"`{c.model}` {ratio:.2f} ({reason})")
    return "fovea is behind on: " + ", ".join(out) + "." if out else "fovea is behind on none of them."


def start_rows(cases):
    """From a started process to the first answer, and the most memory: of the same processes."""
    names = engine_names(cases)
    rows = [["model", *(f"{NAMES[n]}" for n in names)]]
    for c in cases:
        values = [c.engines.get(n) for n in names]
        rows.append([c.model, *(f"{e['load_s'] * 1e3 + e['first_ms']:.0f} ms, {e['rss_mb']} MB" if e else "" for e in values)])
    return rows


HEAD = """# Benchmarks

`./dev bench` and `bench/peers/compare.py` write this page: fovea and other runtimes on one machine, by turns. Nothing on it is typed by hand.

How it is measured: every runtime waits in a process of its own with the same weights and the same input. A round gives each of
them a turn, in random order: a few runs to warm up, then as many as fit into about half a second. Times are medians over
rounds of a turn's median. A ratio pairs the times of one round; the table has the median of the rounds' ratios, and the
lowest and highest of them. Before and after each round a fixed piece of work is timed on all processors: rounds in which it
took more than 5 % longer than at best do not count, and where that would leave fewer than 70 % all count and the row says
noisy. First values of all answers are compared (f32: within 1e-3 of the largest; bf16, with the answers in f32: 5e-2, or
half as much again as PyTorch's bf16 is off; int8, with the answers in f32 where the page has them: 0.25); who answers otherwise has no
time, and where that is fovea, or fovea fails, the row counts as 0.5. ONNX Runtime has no bf16 here. PyTorch runs
channels-last in inference mode (bf16: autocast), torch.compile with frozen weights, OpenVINO with its latency hint and one
stream; ncnn (converted by pnnx) and MNN (from ONNX) in f32 at batch 1. Where a table says that everybody was kept to a class of
instructions, fovea was by FOVEA_ISA, PyTorch by ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA and MKL_ENABLE_INSTRUCTIONS, OpenVINO by
ONEDNN_MAX_CPU_ISA; runtimes without such a switch are not in it. There is a section for each processor that was at hand, and every row
names its processor: ratios mean something within a row.
"""


def machine_text(results):
    """The processor, as it was last seen, and who ran there."""
    lines = []
    for m in {m["cpu"]: m for m in results.machines}.values():
        lines += [f"- {m['cpu']}, {m['processors']} processors, {m['memory_mb'] / 1024:.0f} GiB, {m['system']}; {m['threads']} threads for "
                  f"everybody; instruction sets: {' '.join(m['flags'])}"]
    m = results.machines[-1]
    lines += [f"- begun {results.machines[0]['time']}",
              f"- fovea {m['fovea']} ({results.commits(results.cases) or m['commit']}), " + ", ".join(results.versions()) +
              f", Python {m['python']}"]
    return "\n".join(lines)


def failures(results):
    lines = [f"- {c.model}, {title(c.kind).lower()}, {NAMES[n]}: {why.splitlines()[0][:160]}" for c in results.cases
             for n, why in c.failed.items()]
    return "\n### What failed\n\n" + "\n".join(lines) + "\n" if lines else ""


def section(results, more=""):
    """What was measured on one processor; `more`: sections of others, the zoo's."""
    out = [f"## {results.machines[-1]['cpu']}\n", machine_text(results), ""]
    for kind in results.kinds():
        cases = results.of_kind(kind)
        rounds = max((len(c.rounds) for c in cases), default=0)
        out += [f"### {title(kind)}\n", f"Milliseconds, {rounds} rounds, fovea at {results.commits(cases)}; the quickest is bold.\n",
                markdown_table(bold_quickest(cases, table(cases))), "", summary_line(cases) + " " + behind(cases), ""]
        if kind == results.kinds()[0]:
            measured = [c for c in cases if c.engines]
            out += ["#### Until the first answer, and memory\n",
                    "Making the model ready (loading the weights, compiling) and the first run; the process's largest memory. "
                    "Starting Python, importing libraries and writing the ONNX file are not counted; the memory of ONNX Runtime "
                    "and OpenVINO includes PyTorch, which wrote that file.\n",
                    markdown_table(start_rows(measured)), ""]
    return "\n".join(out) + failures(results) + more


def sections_of(page):
    """What a page says, by processor."""
    parts = page.read_text().split("\n## ")[1:] if page.exists() else []
    return {part.splitlines()[0]: f"## {part.rstrip()}\n" for part in parts}


def write_page(results, path, zoo=None):
    """Puts a processor's section into a page; those of others stay as they are."""
    import zoo_report  # which needs this module

    page = pathlib.Path(path)
    sections = sections_of(page)
    sections[results.machines[-1]["cpu"]] = section(results, zoo_report.section(zoo, page) if zoo else "").rstrip() + "\n"
    page.write_text("\n".join([HEAD, *sections.values()]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("results", help="the lines of compare.py")
    parser.add_argument("--page", help="a Markdown file to write")
    parser.add_argument("--zoo", help="the lines of zoo.py, for a section of the page; its plot goes beside it")
    options = parser.parse_args()
    results = read(options.results)
    print(text_tables(results))
    if options.page:
        write_page(results, options.page, options.zoo)


if __name__ == "__main__":
    main()
