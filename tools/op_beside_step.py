# SPDX-License-Identifier: Apache-2.0
# tools/op_beside_step.py — times that `fovea bench --op` gives beside those of the same steps inside a model, by turns.
#
#   python3 tools/op_beside_step.py build/fovea MODEL MODULE… [--rounds 5] [--repeat 30] [--threads 2]
#
# A module's first convolution or linear layer is taken. Each round profiles the model and then times every op, between whose
# runs as many bytes are read as the model's constants and arena have; a ratio pairs the times of one round, and the median of
# the rounds' ratios is shown with the least and the most.
import argparse
import json
import re
import statistics
import subprocess


def told(tool, *arguments):
    return json.loads(subprocess.run([tool, "bench", *arguments, "--json"], capture_output=True, text=True, check=True).stdout)


def profile(options):
    """The modules' steps, and the MB that a run of the model touches."""
    model = told(options.tool, options.model, "--per-op", "--repeat", str(options.repeat), "--threads", str(options.threads))[0]
    steps = {name: next(s for s in model["steps"] if s["module"] == name and s["op"] in ("conv", "linear")) for name in options.modules}
    return steps, (model["constant_bytes"] + model["arena_bytes"]) >> 20


def shapes(step):
    """Those of the operands: "f32 1x64x56x56, 64x64x3x3, 64 -> 1x64x56x56"."""
    return [re.sub(r"^[a-z]\w+ ", "", text).replace("x", ",") for text in step["operands"].split(" -> ")[0].split(", ")]


def attribute(step, name):
    found = re.search(rf"\b{name}=(\[[^\]]*\]|[^,\]]+)", step["attrs"])
    return re.sub(r"[\[\] ]", "", found.group(1)) if found else ""


def flags(step):
    operands = shapes(step)
    out = ["--op", step["op"], "--x", operands[0], "--w", operands[1], "--dtype", step["operands"].split()[0]]
    for option, name in (("--stride", "stride"), ("--pad", "pad_lo"), ("--dilation", "dilation"), ("--groups", "groups"), ("--act", "act")):
        if attribute(step, name):
            out += [option, attribute(step, name)]
    if attribute(step, "residual"):
        out.append("--residual")
    if len(operands) < 3 or operands[2] == "-":
        out.append("--no-bias")
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("model")
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--isa", default="avx512")
    options = parser.parse_args()
    pairs = {name: [] for name in options.modules}
    for _ in range(options.rounds):
        steps, between = profile(options)
        for name, step in steps.items():
            op = told(options.tool, *flags(step), "--isa", options.isa, "--repeat", str(options.repeat), "--threads", str(options.threads),
                      "--between", str(between))[0]
            chosen = next(k for k in op["kernels"] if k["chosen"])
            assert chosen["kernel"] == step["kernel"], (chosen["kernel"], step["kernel"])
            pairs[name].append((step["us"], chosen["us"], chosen["us_at_hand"]))
    print(f"{'module':32} {'kernel':24} {'us in model':>11} {'us --op':>9} {'at hand':>9}  --op / in model")
    for name, step in steps.items():
        ratios = [op / inside for inside, op, _ in pairs[name]]
        inside, op, hand = (statistics.median(column) for column in zip(*pairs[name]))
        print(f"{name:32} {step['kernel']:24} {inside:11.1f} {op:9.1f} {hand:9.1f}  {statistics.median(ratios):.3f} "
              f"({min(ratios):.2f} to {max(ratios):.2f})  {step['operands']}; {step['detail']}")


if __name__ == "__main__":
    main()
