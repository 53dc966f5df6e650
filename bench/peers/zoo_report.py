#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# bench/peers/zoo_report.py — what zoo.py measured, as a section of a page: a table, the distribution as a plot, the ten worst.
import json
import math
import pathlib
import statistics
from html import escape

import report

PEERS = ["torch", "openvino"]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 900, 360, 56, 46, 16


def rows_of(path):
    """One a model: its case (of report.py) and its own line."""
    zoo = {}
    for line in pathlib.Path(path).read_text().splitlines():
        row = json.loads(line)
        if row["kind"] == "zoo":
            zoo[row["model"]] = row
    cases = [case for case in report.read(path).cases if case.model in zoo]
    return [(case, zoo[case.model]) for case in cases]


def ratio(case, peer):
    """The peer's time to fovea's, of the rounds' ratios the median; None where either has no time."""
    if peer not in case.counted() or "fovea" not in case.counted():
        return None
    return statistics.median(case.ratios(peer))


def ratio_text(case, peer):
    value = ratio(case, peer)
    return report.why_not(case, peer) if value is None else f"{value:.2f}"


def plot(rows):
    """The ratios of each peer in order: how many models are above any value is read off directly."""
    series = {peer: sorted(r for case, _ in rows if (r := ratio(case, peer))) for peer in PEERS}
    values = [v for one in series.values() for v in one] or [1]
    low, high = min(0.5, min(values)), max(2, max(values))
    y = lambda v: HEIGHT - BOTTOM - (math.log(v / low) / math.log(high / low)) * (HEIGHT - BOTTOM - TOP)
    out = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='sans-serif' font-size='12'>",
           f"<rect width='{WIDTH}' height='{HEIGHT}' fill='#fff'/>"]
    for tick in (0.25, 0.5, 0.7, 1, 1.5, 2, 3, 5, 8, 12, 20, 40):
        if low <= tick <= high:
            out.append(f"<line x1='{LEFT}' x2='{WIDTH - 16}' y1='{y(tick):.1f}' y2='{y(tick):.1f}' "
                       f"stroke='{'#1d2433' if tick == 1 else '#e4e7ec'}'/>"
                       f"<text x='{LEFT - 8}' y='{y(tick) + 4:.1f}' text-anchor='end' fill='#667085'>{tick}</text>")
    colours = {"torch": "#e2702e", "openvino": "#3b6fd4"}
    for number, (peer, ordered) in enumerate(series.items()):
        if not ordered:
            continue
        x = lambda i: LEFT + (WIDTH - 16 - LEFT) * (i + 0.5) / len(ordered)
        out += [f"<circle cx='{x(i):.1f}' cy='{y(v):.1f}' r='2.5' fill='{colours[peer]}'/>" for i, v in enumerate(ordered)]
        out.append(f"<text x='{LEFT + 14}' y='{TOP + 16 + 18 * number}' fill='{colours[peer]}'>"
                   f"{escape(report.NAMES[peer])} / fovea, {len(ordered)} models</text>")
    out.append(f"<text x='{(WIDTH + LEFT) / 2}' y='{HEIGHT - 14}' text-anchor='middle' fill='#667085'>models, by their ratio; "
               "above 1 fovea is quicker</text></svg>")
    return "\n".join(out) + "\n"


def summary(rows, peer):
    ratios = sorted(r for case, _ in rows if (r := ratio(case, peer)))
    if not ratios:
        return f"{report.NAMES[peer]}: nothing to compare."
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    tenth = ratios[len(ratios) // 10]
    return (f"{report.NAMES[peer]} / fovea: geometric mean {mean:.3f}, median {statistics.median(ratios):.2f}, a tenth of the models "
            f"below {tenth:.2f}, worst {ratios[0]:.2f}; {sum(r < 1 for r in ratios)} of {len(ratios)} below 1.")


def worst(rows, peer, count=10):
    """With fovea's slowest kernels, where the reason is to be looked for."""
    ordered = sorted(((r, case, zoo) for case, zoo in rows if (r := ratio(case, peer))), key=lambda item: item[0])
    lines = []
    for r, case, zoo in ordered[:count]:
        kernels = ", ".join(f"{kernel} {100 * share:.0f} %" for kernel, share in zoo["kernels"])
        lines.append(f"- `{case.model}` {r:.2f}: {kernels}")
    return "\n".join(lines)


def table(rows):
    names = ["fovea", *PEERS]
    head = ["model", "module", "GMACs", *(report.NAMES[n] for n in names), *(f"{report.NAMES[p]} / fovea" for p in PEERS),
            "processor"]
    body = [[case.model, zoo["module"], f"{zoo['macs'] / 1e9:.2f}", *(report.cell(case, n) for n in names),
             *(ratio_text(case, p) + (" noisy" if case.noisy else "") for p in PEERS), case.cpu]
            for case, zoo in sorted(rows, key=lambda row: (row[1]["module"], row[1]["macs"]))]
    return report.markdown_table([head, *body])


def section(path, page):
    """Markdown; the plot is written beside the page, into images/."""
    rows = rows_of(path)
    image = page.parent / "images/zoo.svg"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_text(plot(rows))
    rounds = max((len(case.rounds) for case, _ in rows), default=0)
    parts = ["\n### The catalogue\n",
             f"Of each module the smallest, the median and the largest model of up to 8 GMACs, and more of large modules: {len(rows)} "
             f"models, f32, batch 1, {rounds} rounds each, milliseconds. `bench/peers/zoo.py` measures them.\n",
             "![The ratios of all models, in order](images/zoo.svg)\n", *(summary(rows, peer) + "\n" for peer in PEERS)]
    for peer in PEERS:
        parts += [f"#### The ten worst beside {report.NAMES[peer]}, with fovea's slowest kernels\n", worst(rows, peer) + "\n"]
    return "\n".join([*parts, table(rows), ""])
