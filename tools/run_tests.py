# SPDX-License-Identifier: Apache-2.0
# tools/run_tests.py — runs the parts of `./dev test` side by side, shows failures as they come, and sums all into one last line.
import argparse
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree

import build_times

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / "build/meson/test/fovea_tests"
SANITIZED = ROOT / "build/sanitize/test/fovea_tests"
PAIR_PARAMS = 100_000_000    # models up to this size also take two images as one batch
EMULATED_PARAMS = 5_500_000  # more take long where every tile instruction is a signal
# Of an access to a vector the first and the last byte are checked: what lies between two allocations is wider.
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:allocator_may_return_null=1:redzone=128",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
THREADS = ROOT / "build/tsan/test/fovea_thread_tests"
THREAD_OPTIONS = {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:allocator_may_return_null=1"}
PIECES = 12                  # of a part's fast tests, for each process at work
MOST_THREADS = 4             # of each process, where there are more processors
MEMORY = {"unit": 2 << 30, "sanitized": 3 << 30}   # what a process of unit tests may need
BYTES_PER_PARAM = 48         # of a golden: weights, packed weights, eager and compiled values, a pair of images
SMALLEST_GOLDEN = 512 << 20


class Part:
    """What belongs together in the report: a name, and what its jobs counted."""

    def __init__(self, name, unit="test cases"):
        self.name, self.unit = name, unit
        self.passed = self.failed = self.open_jobs = 0
        self.left_out = 0
        self.started = None
        self.slow = []

    def summary(self):
        seconds = time.time() - (self.started or time.time())
        lines = [f"{self.name}: {self.passed + self.failed} {self.unit}, {self.failed} failed, {seconds:.1f} s"
                 + (f"; {self.left_out} files have no small one" if self.left_out else "")]
        lines += [f"    {seconds:.1f} s  {name}" for seconds, name in sorted(self.slow, reverse=True)[:3] if seconds > 10]
        return lines


@dataclasses.dataclass
class Result:
    """What one job found: counts, lines to show, and the seconds of what was slow."""

    passed: int = 0
    failed: int = 0
    lines: list = dataclasses.field(default_factory=list)
    slow: list = dataclasses.field(default_factory=list)

    def fail(self, *lines):
        self.failed += 1
        self.lines += lines


@dataclasses.dataclass
class Job:
    part: Part
    run: object                # () -> Result
    memory: int = 0


# --- Catch2 ---------------------------------------------------------------------------------------------------------------


def text_of(element, tag):
    return (element.findtext(tag) or "").strip()


def failure_lines(case):
    """What Catch2's XML says of one failed test case, in the order it happened."""
    yield f"FAILED  {case.get('name')}  ({case.get('filename')}:{case.get('line')})"
    for element in case.iter():
        place = f"  {element.get('filename')}:{element.get('line')}: "
        if element.tag == "Section":
            yield f"  in {element.get('name')}"
        elif element.tag == "Expression" and element.get("success") == "false":
            yield f"{place}{element.get('type')}( {text_of(element, 'Original')} )"
            yield f"      is {text_of(element, 'Expanded')}"
        elif element.tag in ("Failure", "FatalErrorCondition", "Exception"):
            yield f"{place}{element.tag}: {(element.text or '').strip()}"
        elif element.tag in ("Info", "Warning"):
            yield f"  {(element.text or '').strip()}"


def read_cases(pipe, result):
    """Counts the test cases of Catch2's XML as they end; the one that never ended, if any."""
    parser = ElementTree.XMLPullParser(["start", "end"])
    open_case = None
    for line in pipe:
        parser.feed(line)
        for event, element in parser.read_events():
            if element.tag != "TestCase":
                continue
            if event == "start":
                open_case = element
                continue
            open_case = None
            overall = element.find("OverallResult")
            if overall is not None and overall.get("success") == "true":
                result.passed += 1
                result.slow.append((float(overall.get("durationInSeconds", 0)), element.get("name")))
            else:
                result.fail(*failure_lines(element))
            element.clear()
    return open_case


def run_catch(program, names, environment, emulator=()):
    """Runs some test cases in a process; its XML comes through a pipe of its own, so that what tests print cannot disturb it."""
    result = Result()
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile(mode="w+", errors="replace") as log, tempfile.NamedTemporaryFile("w", suffix=".txt") as list_file:
        list_file.writelines(quoted(name) + "\n" for name in names)
        list_file.flush()
        command = [*emulator, str(program), "-r", "xml", "-d", "yes", "-o", f"/dev/fd/{write_end}", "-f", list_file.name]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   pass_fds=[write_end], env={**os.environ, **environment})
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            open_case = read_cases(pipe, result)
        code = process.wait()
        if open_case is not None:
            result.fail(f"FAILED  {open_case.get('name')}: the program ended inside it", *failure_lines(open_case))
        elif code != 0 and result.failed == 0:
            result.fail(f"FAILED  {program.parent.parent.name}: exit code {code} although no test case failed")
        elif result.passed + result.failed != len(names):
            result.fail(f"FAILED  {len(names)} test cases were asked for, {result.passed + result.failed} ran: {names}")
        if result.failed:
            log.seek(0)
            result.lines += [f"    {line.rstrip()}" for line in log.readlines()[-60:]]
    return result


def quoted(name):
    """A test's name as Catch2's list files have it: between quotes these three are special."""
    return '"' + re.sub(r'([\\",])', r"\\\1", name) + '"'


def catch_spec(filter_text):
    """A bare word finds every test case with that word in its name; wildcards and [tags] go to Catch2 as they are."""
    return f"*{filter_text}*" if filter_text and not re.search(r'[*\[~",]', filter_text) else filter_text


def narrowed(spec, tags):
    """Adds tags to every alternative of a Catch2 test spec."""
    return ",".join(part + tags for part in (spec.split(",") if spec else [""]))


def names_of(program, spec, emulator=()):
    """The names of the test cases that a spec finds. Catch2 3 lists them so; version 2 has an option of its own."""
    listed = None
    for options in (["--list-test-names-only"], ["--list-tests", "--verbosity", "quiet"]):
        listed = subprocess.run([*emulator, str(program), *options, *([spec] if spec else [])], capture_output=True, text=True,
                                env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        if "Unrecognised token" not in listed.stdout + listed.stderr:
            break
    return [line.strip() for line in listed.stdout.splitlines() if line.strip()]


def catch_jobs(part, program, spec, environment, workers):
    """Slow tests first, each in a process of its own; the others in pieces, dealt out so that neighbours part."""
    names = names_of(program, spec)
    slow = set(names_of(program, narrowed(spec, "[slow]")))
    fast = [name for name in names if name not in slow]
    pieces = min(len(fast), workers * PIECES)
    groups = [[name] for name in names if name in slow] + [fast[i::pieces] for i in range(pieces)]
    memory = MEMORY.get(part.name, MEMORY["unit"])
    return [Job(part, lambda group=group: run_catch(program, group, environment), memory) for group in groups]


def emulated_jobs(build, processors, spec, workers):
    """The fast tests of build/test/fovea_core_tests as on each of some processors of another family, by qemu."""
    program, jobs = ROOT / build / "test/fovea_core_tests", []
    for emulator in processors:
        command = emulator.split()
        names = names_of(program, fast_only(spec), command)
        part, pieces = Part(f"unit, {emulator}"), max(1, min(len(names), workers * PIECES))
        jobs += [Job(part, lambda group=names[i::pieces], command=command: run_catch(program, group, {}, command), MEMORY["unit"])
                 for i in range(pieces) if names]
    return jobs


def emulated_golden_jobs(build, emulator, folders, max_params):
    """Compiled, one image, of each file the smallest model, where it has no more parameters."""
    part, jobs = Part(f"golden, {emulator}", "models"), []
    for path in sorted(path for folder in folders for path in (ROOT / folder).glob("*.json")):
        least = min(json.loads(path.read_text()), key=lambda e: e["params"])
        if least["params"] > max_params:
            part.left_out += 1
            continue
        arguments = [str(path), "--compiled", "--pair-params", "1", "--only", least["name"]]
        command = [*emulator.split(), str(ROOT / build / "test/golden/golden")]
        jobs.append(Job(part, lambda arguments=arguments, command=command: compare_golden(part.name, arguments, command),
                        max(least["params"] * BYTES_PER_PARAM, SMALLEST_GOLDEN)))
    return jobs


def fast_only(spec):
    """Takes the slow tests, and those that are only run when asked for, out of every alternative of a Catch2 test spec."""
    return narrowed(spec, "~[slow]~[.]")


# --- recorded figures ------------------------------------------------------------------------------------------------------


def golden_jobs(folders, max_params):
    """build/golden over the files of the modules that were built in: in f32, and in bf16 the models with a row for it.

    A file without a model of so few parameters gives its smallest.
    """
    built = subprocess.run([str(ROOT / "build/fovea"), "models", "--json"], capture_output=True, text=True, check=True)
    names = set(json.loads(built.stdout))
    part = Part("golden", "models")
    entries = {path: json.loads(path.read_text()) for folder in folders for path in sorted((ROOT / folder).glob("*.json"))}
    limits = ["--pair-params", str(PAIR_PARAMS)]

    def job(of_part, path, chosen, arguments):
        memory = max(entry["params"] for entry in chosen) * BYTES_PER_PARAM
        return Job(of_part, lambda: compare_golden(of_part.name, [str(path), *arguments]), max(memory, SMALLEST_GOLDEN))

    jobs = []
    for path, listed in entries.items():
        there = [e for e in listed if e["name"] in names]
        chosen = [e for e in there if not 0 < max_params < e["params"]]
        if chosen:
            jobs.append(job(part, path, chosen, limits + (["--max-params", str(max_params)] if max_params else [])))
        elif there:
            least = min(there, key=lambda e: e["params"])
            jobs.append(job(part, path, [least], [*limits, "--only", least["name"]]))
    if not jobs:
        return [Job(part, lambda: Result(failed=1, lines=[f"FAILED  golden: no file in {' '.join(folders)}"]))]
    rows = {row["name"] for row in json.loads((ROOT / "test/golden/bf16.json").read_text())} & names
    far = Part("golden on far:0", "models")
    for path, listed in entries.items():
        chosen = [e for e in listed if e["name"] in names and e["name"].startswith("test_") and "kwargs" not in e]
        if chosen:
            jobs.append(job(far, path, chosen, ["--device", "far:0", "--only", *(e["name"] for e in chosen)]))
    parts = [(Part("golden in bf16", "models"), [], 0)]
    if "avx512_bf16" in flags_of_processor() and os.environ.get("FOVEA_ISA", "avx512") == "avx512":
        emulated = ["--emulate-amx", "--compiled", "--max-params", str(EMULATED_PARAMS)]
        parts.append((Part("golden in bf16, AMX emulated", "models"), emulated, EMULATED_PARAMS))
    for of_part, arguments, most in parts:
        for path, listed in entries.items():
            chosen = [e for e in listed if e["name"] in rows and "kwargs" not in e
                      and not 0 < max_params < e["params"] and not 0 < most < e["params"]]
            if chosen:
                only = ["--only", *(e["name"] for e in chosen)]
                jobs.append(job(of_part, path, chosen, ["--dtype", "bf16", *arguments, *only]))
    return jobs


def compare_golden(name, arguments, command=(str(ROOT / "build/golden"),)):
    """Runs build/golden, and takes what its last line counts."""
    process = subprocess.run([*command, *arguments], cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    lines = [line.rstrip() for line in process.stdout.splitlines() if line.strip()]
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1]) if lines else None
    result = Result(lines=[f"{name}: {line}" for line in (lines[:-1] if counts else lines)])
    if counts:
        result.passed, result.failed = int(counts[1]), int(counts[2])
    if not counts or (process.returncode != 0 and result.failed == 0):
        result.fail(f"FAILED  {name}: exit code {process.returncode} of golden {' '.join(arguments)}")
    return result


def flags_of_processor():
    return pathlib.Path("/proc/cpuinfo").read_text().split()


def check_budgets(folder):
    lines = build_times.excess_of(ROOT / folder)
    return Result(failed=1, lines=["FAILED  the build", *(f"  {line}" for line in lines)]) if lines else Result(passed=1)


# --- side by side ----------------------------------------------------------------------------------------------------------


def memory_at_hand():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 4 << 30


class Crew:
    """Runs jobs in the order they are given, as many at a time as there are workers and as fit in memory."""

    def __init__(self, workers):
        self.workers, self.room = workers, int(memory_at_hand() * 0.8)
        self.change = threading.Condition()
        self.queue, self.running, self.taken = [], 0, 0

    def run(self, jobs):
        self.queue = list(jobs)
        for job in jobs:
            job.part.open_jobs += 1
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(min(self.workers, len(jobs)))]
        for thread in threads:
            thread.start()
        self.report_progress()
        for thread in threads:
            thread.join()

    def next_job(self):
        with self.change:
            while self.queue and self.running and self.taken + self.queue[0].memory > self.room:
                self.change.wait()
            if not self.queue:
                return None
            job = self.queue.pop(0)
            job.part.started = job.part.started or time.time()
            self.running += 1
            self.taken += job.memory
            return job

    def work(self):
        while job := self.next_job():
            try:
                result = job.run()
            except Exception as problem:           # a job that cannot run is a failure, not the end of the others
                result = Result(failed=1, lines=[f"FAILED  {job.part.name}: {problem!r}"])
            with self.change:
                self.running -= 1
                self.taken -= job.memory
                self.finish(job.part, result)
                self.change.notify_all()

    def finish(self, part, result):
        part.passed += result.passed
        part.failed += result.failed
        part.slow = sorted(part.slow + result.slow, reverse=True)[:3]
        part.open_jobs -= 1
        lines = result.lines + (part.summary() if part.open_jobs == 0 else [])
        if lines:
            print("\n".join(lines), flush=True)

    def report_progress(self):
        with self.change:
            shown = time.time()
            while self.queue or self.running:
                self.change.wait(30)
                if self.queue and time.time() - shown >= 30:
                    shown = time.time()
                    print(f"... {len(self.queue) + self.running} of the jobs to go", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--unit", action="store_true", help="the unit tests of the release build")
    parser.add_argument("--sanitized", action="store_true", help="the fast unit tests of the sanitizer build")
    parser.add_argument("--threads", action="store_true", help="what threads share, under ThreadSanitizer")
    parser.add_argument("--golden", metavar="FOLDER", nargs="+", help="recorded figures; left out when there is a filter")
    parser.add_argument("--budgets", metavar="FOLDER", help="whether a clean build kept its budgets of time; see build_times.py")
    parser.add_argument("--real", metavar="FOLDER", help="where lite0.safetensors ... are, for the tests that want them")
    parser.add_argument("--max-params", type=int, default=0, help="skip recorded models with more parameters, but for a file's smallest")
    parser.add_argument("--emulated", metavar="FOLDER", help="a build for another family: its unit tests, and recorded figures of small models")
    parser.add_argument("--processors", metavar="COMMAND", nargs="+", default=[], help="what runs its programs, as which processor")
    parser.add_argument("--filter", default="", help="a word of a test's name, or a Catch2 spec: names with *, [tags]")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at a time")
    options = parser.parse_args()
    if options.jobs > MOST_THREADS:
        os.environ.setdefault("FOVEA_THREADS", str(MOST_THREADS))
    spec, jobs = catch_spec(options.filter), []
    if options.unit:
        asked = "" if spec else "~[.]"             # a spec finds what is only run when asked for
        jobs += catch_jobs(Part("unit"), RELEASE, narrowed(spec, "~[far]" + asked), {}, options.jobs)
        if names_of(RELEASE, narrowed(spec, "[far]")):
            jobs += catch_jobs(Part("far devices"), RELEASE, narrowed(spec, "[far]"), {}, options.jobs)
        if not spec and all(name in flags_of_processor() for name in ("avx2", "fma", "f16c")):
            jobs += catch_jobs(Part("kernels of recorded models"), RELEASE, "[kernels]", {"FOVEA_ISA": "avx2"}, options.jobs)
    if options.sanitized:
        jobs += catch_jobs(Part("sanitized"), SANITIZED, fast_only(spec), SANITIZER_OPTIONS, options.jobs)
    if options.threads:
        jobs += catch_jobs(Part("threads"), THREADS, spec, THREAD_OPTIONS, options.jobs)
    if options.real and not options.filter:
        jobs += catch_jobs(Part("real weights"), RELEASE, "[real]", {"FOVEA_LITE_WEIGHTS": options.real}, options.jobs)
    if options.budgets and not options.filter:
        jobs.append(Job(Part("budgets of the build", "builds"), lambda: check_budgets(options.budgets)))
    if options.emulated:
        jobs += emulated_jobs(options.emulated, options.processors, spec, options.jobs)
        if options.golden and not options.filter:
            jobs += emulated_golden_jobs(options.emulated, options.processors[0], options.golden, options.max_params)
    elif options.golden and not options.filter:
        jobs += golden_jobs(options.golden, options.max_params)
    Crew(options.jobs).run(jobs)
    parts = {id(job.part): job.part for job in jobs}.values()
    passed, failed = sum(part.passed for part in parts), sum(part.failed for part in parts)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
