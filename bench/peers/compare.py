#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# bench/peers/compare.py — times fovea and other runtimes side by side: each waits in a process of its own, and they take
# turns round by round, so that the noise of the machine falls on all of them alike.
#
# usage: compare.py [--models A,B] [--classes f32:1,bf16:1,int8:1,f32:32,f32:8:train] [--rounds 9] [--threads 2] [--isa avx2]
#                   [--peers torch,openvino,ncnn,mnn] [--out FILE.jsonl]
#
# A class is a type, a batch and perhaps `train`. Every process gets the same weights and the same input. One line of JSON is
# written for the machine, for every engine, and for every round of every engine; report.py makes tables of them.
import argparse
import concurrent.futures
import datetime
import hashlib
import json
import os
import pathlib
import platform
import random
import select
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import report

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODELS = """resnet18 resnet50 repvgg_a2 regnety_032 densenet121 hrnet_w18 ghostnet_100 mobilenetv3_large_100 efficientnet_b0
            tf_efficientnetv2_s convnext_tiny vit_small_patch16_224 vit_base_patch16_224 swin_tiny_patch4_window7_224
            maxvit_tiny_tf_224 mixer_b16_224""".split()
QUICK_MODELS = ["resnet18", "mobilenetv3_large_100"]
PEERS = ["torch", "torch-compile", "onnxruntime", "openvino"]
F32_BATCH_1 = ["ncnn", "mnn"]  # runtimes for phones: compared where they are at home
# How each is kept to a class of instructions; who is not named cannot be.
LIMITS = {
    "avx2": {"fovea": {"FOVEA_ISA": "avx2"},
             "torch": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
             "openvino": {"ONEDNN_MAX_CPU_ISA": "AVX2"}},
}
LIMITS["avx2"]["torch-compile"] = {**LIMITS["avx2"]["torch"], "TORCHINDUCTOR_CPP_SIMDLEN": "256"}
INSTRUCTIONS = {"amx_tile": "AMX", "avx512_bf16": "AVX-512 with BF16", "avx512_vnni": "AVX-512 with VNNI", "avx512f": "AVX-512",
                "avx_vnni": "AVX2 with VNNI", "avx2": "AVX2"}
READY_SECONDS, RUN_SECONDS = 1200, 900


@dataclass(frozen=True)
class Case:
    model: str
    dtype: str = "f32"
    batch: int = 1
    train: bool = False
    isa: str = ""  # the class of instructions that everybody is kept to

    def __str__(self):
        return f"{self.model} {self.dtype} batch {self.batch}{' train' if self.train else ''}{' ' + self.isa if self.isa else ''}"


def parse_class(text):
    dtype, batch, *rest = text.split(":")
    if dtype not in ("f32", "bf16", "int8") or rest not in ([], ["train"]):
        raise SystemExit(f"compare: a class is f32, bf16 or int8, a batch and perhaps train: f32:32, f32:8:train; not {text}")
    return dict(dtype=dtype, batch=int(batch), train=bool(rest))


def offered(engine, case):
    """What a runtime has at all: rows that it cannot have are no failures."""
    if case.isa and engine not in LIMITS[case.isa]:
        return False
    if engine in F32_BATCH_1:
        return case.dtype == "f32" and case.batch == 1 and not case.train
    if case.dtype == "int8" and engine != "openvino":
        return False
    if engine == "onnxruntime":
        return case.dtype == "f32" and not case.train
    return not (engine == "openvino" and case.train)


class Engine:
    """A process that answers "run N" lines; fovea's own worker and worker.py speak alike."""

    def __init__(self, name, command, log, settings=None):
        self.name = name
        self.log = log
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=open(log, "w"), env={**os.environ, **(settings or {})})

    def answer(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        if not ready:
            raise RuntimeError(f"no answer within {seconds} s")
        code = self.process.wait()
        last = pathlib.Path(self.log).read_text(errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"ended with {code}: {' '.join(last)}")

    def run(self, times):
        self.process.stdin.write(f"run {times}\n")
        self.process.stdin.flush()
        return self.answer(RUN_SECONDS)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def canary(threads):
    """Seconds that a fixed piece of work takes on each processor at once: it shows who else is busy."""
    data = bytes(16 << 20)

    def once(_):
        start = time.perf_counter()
        hashlib.sha256(data).digest()
        return time.perf_counter() - start

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return min(max(pool.map(once, range(threads))) for _ in range(3))


def stolen():
    """Hundredths of a second that the hypervisor gave to others since the start."""
    try:
        return int(pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[8])
    except (OSError, IndexError):
        return 0


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def cpu_info():
    name, flags = "", []
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and not name:
            name = value.strip()
        if key.strip() == "flags" and not flags:
            flags = [f for f in value.split() if f.startswith(("avx", "amx", "fma", "f16c"))]
    return name, flags


def describe_machine(options):
    """Its processor by name, which tells little on rented machines, and by the best instructions that it has."""
    cpu, flags = cpu_info()
    cpu = ", ".join([cpu, *[label for flag, label in INSTRUCTIONS.items() if flag in flags][:1]])
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return dict(kind="machine", time=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), cpu=cpu,
                flags=flags, processors=os.cpu_count(), memory_mb=memory, system=f"{platform.system()} {platform.release()}",
                python=platform.python_version(), threads=options.threads, rounds=options.rounds,
                fovea=output_of(options.fovea, "--version"), commit=output_of("git", "describe", "--always", "--dirty"))


class Comparison:
    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(options.work)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.out = open(options.out, "a" if options.append else "w", buffering=1)
        self.random = random.Random(0)
        self.write(**describe_machine(options))

    def write(self, **line):
        print(json.dumps(line), file=self.out)

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)

    def shared_files(self, case):
        """Weights of the model and input of the batch, made once."""
        weights, image = self.folder / f"{case.model}.safetensors", self.folder / f"{case.model}-{case.batch}.f32"
        if not (weights.exists() and image.exists()):
            new = [path.with_suffix(path.suffix + ".new") for path in (weights, image)]
            subprocess.run([sys.executable, HERE / "worker.py", "export", case.model, "--batch", str(case.batch), "--weights",
                            new[0], "--input", new[1]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for made, path in zip(new, (weights, image)):
                made.replace(path)
        return ["--weights", str(weights), "--input", str(image)]

    def commands(self, case):
        o = self.options
        tail = ["--batch", str(case.batch), "--dtype", case.dtype, "--threads", str(o.threads), *self.shared_files(case)]
        tail += ["--train"] if case.train else []
        fovea = [o.fovea, "bench", "--worker", case.model, *tail]
        out = {"fovea": fovea, **({"fovea again": fovea} if o.twice else {})}
        for peer in filter(None, o.peers.split(",")):
            if offered(peer, case):
                out[peer] = [sys.executable, str(HERE / "worker.py"), peer, case.model, *tail]
        return out

    def start(self, case):
        """One after the other, so that none is disturbed while it gets ready."""
        engines, ready = {}, {}
        for name, command in self.commands(case).items():
            limits = LIMITS[case.isa].get(name.split()[0]) if case.isa else None
            engine = Engine(name, command, self.folder / f"{name.replace(' ', '-')}.log", limits)
            try:
                ready[name] = engine.answer(READY_SECONDS)
                engines[name] = engine
            except (RuntimeError, ValueError) as error:
                engine.process.kill()
                self.failed(case, name, error)
        return engines, ready

    def failed(self, case, name, error):
        self.say(f"{case}: {name}: {error}")
        self.write(kind="failed", **asdict(case), engine=name, error=str(error))

    def round(self, case, number, engines, guess):
        before, stolen_before = canary(self.options.threads), stolen()
        order = list(engines)
        self.random.shuffle(order)
        lines = []
        for name in order:
            try:
                engines[name].run(3 if guess[name] < 300 else 1)
                ms = engines[name].run(max(3, min(300, round(self.options.slice_ms / max(guess[name], 0.05)))))
            except (RuntimeError, ValueError, OSError) as error:
                self.failed(case, name, error)
                engines.pop(name).process.kill()
                continue
            guess[name] = statistics.median(ms)
            lines.append(dict(engine=name, ms=ms))
        after = canary(self.options.threads)
        for line in lines:
            self.write(kind="round", **asdict(case), round=number, canary_s=round(max(before, after), 6),
                       stolen=stolen() - stolen_before, **line)

    def run(self, case):
        self.say(f"{case}: getting ready")
        engines, ready = self.start(case)
        for name, r in ready.items():
            self.write(kind="engine", **asdict(case), engine=name, **r)
        guess = {name: r["first_ms"] for name, r in ready.items()}
        for number in range(self.options.rounds):
            if sys.stderr.isatty():
                print(f"\r\x1b[Kround {number + 1} of {self.options.rounds}", end="", file=sys.stderr, flush=True)
            self.round(case, number, engines, guess)
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)
        for engine in engines.values():
            engine.close()
        medians = ", ".join(f"{name} {ms:.2f}" for name, ms in guess.items() if name in engines)
        self.say(f"{case}: {medians} ms")


def parse():
    _, flags = cpu_info()
    bf16 = ["bf16:1"] if {"avx512_bf16", "amx_bf16"} & set(flags) else []
    parser = argparse.ArgumentParser(description="fovea and its peers side by side")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--classes", default=",".join(["f32:1", *bf16, "f32:32"]))
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--fovea", default=str(ROOT / "build/fovea"), help="the tool")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--slice-ms", type=float, default=500, help="about how long an engine's turn is")
    parser.add_argument("--twice", action="store_true", help="also fovea against itself: what the noise is")
    parser.add_argument("--out", default=str(ROOT / "build/bench/results.jsonl"), help="where the lines go")
    parser.add_argument("--append", action="store_true", help="to the lines of an earlier run; its cases are not run again")
    parser.add_argument("--work", default=str(ROOT / "build/bench"), help="a folder for weights, inputs and logs")
    parser.add_argument("--page", help="write the tables to this Markdown file too; what it says of other processors stays")
    parser.add_argument("--isa", choices=LIMITS, default="", help="keep everybody to this class; who cannot be is left out")
    parser.add_argument("--zoo", default=str(ROOT / "build/bench/zoo.jsonl"), help="lines of zoo.py, for the page's last section")
    parser.add_argument("--quick", action="store_true", help="two models, f32, batch 1, three rounds")
    options = parser.parse_args()
    if options.quick:
        options.models, options.classes, options.rounds = ",".join(QUICK_MODELS), "f32:1", 3
    return options


def main():
    options = parse()
    pathlib.Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    done = {c.key for c in report.read(options.out).cases} if options.append else set()
    comparison = Comparison(options)
    built = set(json.loads(output_of(options.fovea, "models", "--json")))
    for kind in map(parse_class, options.classes.split(",")):
        for model in options.models.split(","):
            case = Case(model=model, isa=options.isa, **kind)
            if model not in built:
                comparison.write(kind="absent", **asdict(case))
            elif (model, case.dtype, case.batch, case.train, case.isa) not in done:
                comparison.run(case)
    comparison.out.close()
    results = report.read(options.out)
    print(report.text_tables(results))
    if options.page:
        report.write_page(results, options.page, options.zoo if pathlib.Path(options.zoo).exists() else None)
        comparison.say(f"wrote {options.page}")


if __name__ == "__main__":
    main()
